// Package textable prints aligned tables, as psql does.
package textable

import (
	"bufio"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Table collects columns and rows. The zero Table is empty.
type Table struct {
	heads []string
	right []bool
	width []int
	rows  [][]string
}

// IsNumber says whether a PostgreSQL type name is a number's, shown flush right.
func IsNumber(typ string) bool {
	for _, p := range []string{"smallint", "integer", "bigint", "real", "double", "numeric"} {
		if strings.HasPrefix(typ, p) {
			return true
		}
	}
	return false
}

// Column adds a column, flush right or left.
func (t *Table) Column(name string, right bool) {
	name = printable(name)
	t.heads = append(t.heads, name)
	t.right = append(t.right, right)
	t.width = append(t.width, utf8.RuneCountInString(name))
}

// Row adds a row with a cell for each column.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.heads))
	for i := range row {
		if i < len(cells) {
			row[i] = printable(cells[i])
		}
		t.width[i] = max(t.width[i], utf8.RuneCountInString(row[i]))
	}
	t.rows = append(t.rows, row)
}

// printable keeps control characters from moving the terminal's cursor.
func printable(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsControl(r):
			b.WriteRune('\uFFFD')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Write prints heads, a rule and the rows.
func (t *Table) Write(w io.Writer) error {
	out := bufio.NewWriter(w) // keeps the first error until Flush
	t.line(out, t.heads, false)
	for i, n := range t.width {
		if i > 0 {
			out.WriteByte('+')
		}
		out.WriteString(strings.Repeat("-", n+2))
	}
	out.WriteByte('\n')
	for _, row := range t.rows {
		t.line(out, row, true)
	}
	return out.Flush()
}

func (t *Table) line(out *bufio.Writer, cells []string, align bool) {
	for i, c := range cells {
		if i > 0 {
			out.WriteByte('|')
		}
		pad := strings.Repeat(" ", t.width[i]-utf8.RuneCountInString(c))
		out.WriteByte(' ')
		if align && t.right[i] {
			out.WriteString(pad + c)
		} else {
			out.WriteString(c)
			if i < len(cells)-1 {
				out.WriteString(pad)
			}
		}
		if i < len(cells)-1 {
			out.WriteByte(' ')
		}
	}
	out.WriteByte('\n')
}
