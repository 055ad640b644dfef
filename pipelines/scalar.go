package pipelines

import (
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/millrace/millrace/schemas"
)

// text reads a scalar of any type as it is written.
func (d *document) text(n ast.Node, what string) *value {
	v := &value{pos: position(n)}
	var raw string
	switch n := n.(type) {
	case *ast.LiteralNode:
		raw = n.Value.Value
	case *ast.StringNode:
		raw = n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		raw = n.GetToken().Value
	default:
		d.bad(v.pos, "", "%s is a text, not a %s", what, strings.ToLower(n.Type().String()))
		return v
	}
	v.text, v.places = raw, d.align(n, raw)
	before := len(d.errs.Problems)
	v.text = expand(raw, d.env, func(offset int, message, hint string) { d.bad(v.place(offset), hint, "%s", message) })
	if v.text != raw {
		v.places = nil
	}
	switch {
	case strings.TrimSpace(raw) == "":
		d.bad(v.pos, "", "%s is empty", what)
	case strings.TrimSpace(v.text) == "" && len(d.errs.Problems) == before:
		d.bad(v.pos, "set the variable, or leave "+what+" out", "%s is empty: so is the variable that it names", what)
	}
	return v
}

// align finds where each byte of a scalar's text stands in the file. Blanks and
// line breaks are what folding changes, so only other characters are looked for.
func (d *document) align(n ast.Node, text string) []schemas.Pos {
	at := position(n)
	line, col := at.Line, at.Column // from 1
	if _, block := n.(*ast.LiteralNode); block {
		line, col = line+1, 1
	}
	places := make([]schemas.Pos, 0, len(text)+1)
	for _, r := range text {
		if r != ' ' && r != '\n' && r != '\t' {
			line, col = d.seek(line, col, r)
		}
		for range utf8.RuneLen(r) {
			places = append(places, schemas.Pos{Line: line, Column: col})
		}
		if r != '\n' && r != ' ' && r != '\t' {
			col++
		}
	}
	return append(places, schemas.Pos{Line: line, Column: col})
}

// seek finds a character at or after a place.
func (d *document) seek(line, col int, r rune) (int, int) {
	for l, c := line, col; l <= len(d.lines); l, c = l+1, 1 {
		runes := []rune(d.lines[l-1])
		for ; c <= len(runes); c++ {
			if runes[c-1] == r {
				return l, c
			}
		}
	}
	return line, col
}

// place is where a byte of the text stands in the file; the beginning of the text
// where that is not known.
func (v *value) place(offset int) schemas.Pos {
	if offset < 0 || offset >= len(v.places) {
		return v.pos
	}
	return v.places[offset]
}
