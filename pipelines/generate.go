package pipelines

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/transform"
)

// Found is a table that a source has, as `etl init` finds it.
type Found struct {
	Table *schemas.Table
	// Rows is an estimate; 0 when it is not known.
	Rows int64
	// Full says that old rows are sent whole (REPLICA IDENTITY FULL).
	Full bool
	// Unsupported are columns that cannot be captured, with their types.
	Unsupported []string
}

// Generate writes a commented pipeline file for the tables of a source, which reads
// back without a mistake. sourceType is SourceOLTP or SourcePostgres.
func Generate(pipeline, sourceType string, tables []Found) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# What becomes of a source's tables on their way to the warehouse. docs/pipelines.md has every key.")
	line("# Check it with: etl validate FILE. Run it with: etl run FILE")
	line("pipeline: %s\n", pipeline)
	line("source:\n  type: %s", sourceType)
	if sourceType == SourcePostgres {
		slot := "millrace_" + strings.ToLower(strings.ReplaceAll(pipeline, "-", "_"))
		line("  dsn: ${MILLRACE_PG_DSN}   # postgres://user:password@host:5432/database")
		line("  slot: %s          # made when missing", slot)
		line("  publication: %s   # made when missing", slot)
	}
	line("  # Leave a table out by deleting its line.\n  tables:")
	for _, f := range tables {
		line("    - %s%s", yamlText(f.Table.FullName()), remark(f))
	}
	line("\nstream:\n  brokers: embedded   # or addresses of Kafka: [kafka-1:9092, kafka-2:9092]\n  partitions: 4       # of each table's topic\n  linger: 4ms         # less is fresher, more makes fewer messages\n")
	line("# A table passes unchanged unless it has an entry here.")
	if example := exampleOf(tables); example != nil {
		writeExample(line, example)
	}
	line("\nsink:\n  type: warehouse\n\n# slo:\n#   freshness_p99: 500ms\n")
	line("on_error: stop                # a row that an expression fails for stops the pipeline")
	line("on_schema_change: exception   # so does a captured table that is altered")
	return []byte(b.String())
}

// remark says beside a table's name what is special about it.
func remark(f Found) string {
	var parts []string
	if f.Rows > 0 {
		parts = append(parts, "about "+strconv.FormatInt(f.Rows, 10)+" rows")
	}
	if len(f.Table.Key) == 0 {
		parts = append(parts, "no primary key: append-only")
	}
	if len(f.Unsupported) > 0 {
		parts = append(parts, "left out: "+strings.Join(f.Unsupported, ", "))
	}
	if toast := toasted(f.Table, everyColumn(f.Table)); len(toast) > 0 && len(f.Table.Key) > 0 && !f.Full {
		parts = append(parts, "to filter it or compute with "+strings.Join(toast, ", ")+": "+transform.ReplicaIdentityFull(f.Table))
	}
	if len(parts) == 0 {
		return ""
	}
	return "   # " + strings.Join(parts, "; ")
}

// exampleOf is the first table with a key and something to show, or the first.
func exampleOf(tables []Found) *schemas.Table {
	for _, f := range tables {
		if len(f.Table.Key) > 0 && len(f.Table.Columns) > 1 {
			return f.Table
		}
	}
	if len(tables) > 0 {
		return tables[0].Table
	}
	return nil
}

func writeExample(line func(string, ...any), t *schemas.Table) {
	var columns []string
	where := ""
	for _, c := range t.Columns {
		n := quoteIdent(c.Name)
		switch {
		case t.IsKey(c.ID):
			if c.Type.Kind.IsNumber() && where == "" {
				where = n + " > 0"
			}
		case c.Type.Kind.IsText():
			n = "upper(" + n + ") AS " + n
		}
		columns = append(columns, n)
	}
	if where == "" {
		where = columns[len(columns)-1] + " IS NOT NULL"
		if last := t.Columns[len(t.Columns)-1]; fn.Comparable(last.Type.Kind) {
			where = quoteIdent(last.Name) + " IS NOT NULL"
		}
	}
	line("# transforms:\n#   - table: %s\n#     to: %s          # its name in the warehouse", yamlText(t.FullName()), yamlText(t.Name))
	line("#     select: |            # what SQL has between SELECT and FROM\n#       %s", strings.Join(columns, ",\n#       "))
	line("#     where: |             # rows that stop matching are deleted downstream\n#       %s", where)
	if len(t.Key) > 0 {
		line("#     key: [%s]", strings.Join(yamlTexts(keyColumns(t)), ", "))
	}
}

func keyColumns(t *schemas.Table) []string {
	var out []string
	for _, k := range t.KeyOrdinals() {
		out = append(out, t.Columns[k].Name)
	}
	return out
}

// quoteIdent quotes what SQL would not read as the same column.
func quoteIdent(s string) string {
	if e, err := parse.ParseExpr(s); err == nil {
		if c, ok := e.(*parse.Column); ok && len(c.Parts) == 1 && c.Parts[0].Name == s {
			return s
		}
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// yamlText quotes what YAML would not read as the same text.
func yamlText(s string) string {
	for i, r := range s {
		if !(r == '_' || r == '.' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			return strconv.Quote(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	return s
}

func yamlTexts(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = yamlText(s)
	}
	return out
}
