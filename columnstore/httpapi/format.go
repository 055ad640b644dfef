package httpapi

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

type column = plan.Column

// formats by name and by media type.
var formats = map[string]string{
	"json": "json", "ndjson": "ndjson", "csv": "csv",
	"application/json": "json", "application/x-ndjson": "ndjson", "application/ndjson": "ndjson", "text/csv": "csv",
}

// newEncoder picks the format: by name, else by the Accept header, else JSON.
func newEncoder(name, numbers, accept string) (encoder, error) {
	format := formats[strings.ToLower(name)]
	if name != "" && (format == "" || strings.Contains(name, "/")) {
		e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "there is no format %q", name)
		e.Hint = "format is one of json, ndjson, csv"
		return nil, e
	}
	for _, part := range strings.Split(accept, ",") {
		if format != "" {
			break
		}
		media, _, _ := strings.Cut(part, ";")
		format = formats[strings.TrimSpace(strings.ToLower(media))]
	}
	if numbers != "" && numbers != "json" && numbers != "text" {
		e := schemas.Errorf(schemas.CodeInvalid, "", "numbers is %q", numbers)
		e.Hint = "numbers is text (bigint and numeric as strings, so that no client rounds them) or json"
		return nil, e
	}
	bare := numbers == "json"
	switch format {
	case "ndjson":
		return &ndjsonEncoder{bare: bare}, nil
	case "csv":
		return &csvEncoder{}, nil
	}
	return &jsonEncoder{bare: bare}, nil
}

// jsonEncoder writes one document: {"query_id",…,"rows":[[…]],"stats":{…}}.
type jsonEncoder struct {
	bare  bool
	count int64
}

func (e *jsonEncoder) contentType() string { return "application/json" }

func (e *jsonEncoder) begin(dst []byte, a *query.Answer) []byte {
	type col struct {
		Name     string `json:"name"`
		Type     string `json:"type"`
		Nullable bool   `json:"nullable"`
	}
	cols := make([]col, len(a.Columns))
	for i, c := range a.Columns {
		cols[i] = col{c.Name, c.Type.String(), !c.NotNull}
	}
	dst = append(dst, `{"query_id":`...)
	dst = appendJSON(dst, a.ID)
	dst = append(dst, `,"snapshot":{"lsn":`...)
	dst = appendJSON(dst, a.Snapshot.LSN())
	dst = append(dst, `,"time":`...)
	if at := a.Snapshot.Time(); at.IsZero() {
		dst = append(dst, "null"...) // nothing is loaded yet
	} else {
		dst = appendJSON(dst, at.UTC().Format(time.RFC3339Nano))
	}
	dst = append(dst, `},"columns":`...)
	dst = appendJSON(dst, cols)
	return append(dst, `,"rows":[`...)
}

func (e *jsonEncoder) rows(dst []byte, b *exec.Batch, _ []column) []byte {
	for i := range b.Rows {
		if e.count > 0 {
			dst = append(dst, ',')
		}
		e.count++
		dst = append(dst, "\n["...)
		for c, v := range b.Vectors {
			if c > 0 {
				dst = append(dst, ',')
			}
			dst = appendCell(dst, v, i, e.bare)
		}
		dst = append(dst, ']')
	}
	return dst
}

func (e *jsonEncoder) end(dst []byte, a *query.Answer) []byte {
	dst = append(dst, "\n],\"stats\":"...)
	st := a.Stats()
	dst = appendJSON(dst, map[string]any{
		"rows_read": st.RowsRead, "bytes_read": st.BytesRead, "rows_skipped": st.RowsSkipped,
		"peak_memory_bytes": st.PeakMemory, "queue_ms": ms(st.Queue), "plan_ms": ms(st.Plan),
		"exec_ms": ms(st.Exec), "freshness_ms": ms(st.Freshness), "rows": e.count,
	})
	return append(dst, "}\n"...)
}

func (e *jsonEncoder) accepts([]column) error { return nil }

func (e *jsonEncoder) broken([]byte, errorBody) []byte { return nil }

// ndjsonEncoder writes one object a row.
type ndjsonEncoder struct {
	bare  bool
	names [][]byte
}

func (e *ndjsonEncoder) contentType() string { return "application/x-ndjson" }

func (e *ndjsonEncoder) begin(dst []byte, a *query.Answer) []byte {
	for _, c := range a.Columns {
		e.names = append(e.names, append(appendJSON(nil, c.Name), ':'))
	}
	return dst
}

func (e *ndjsonEncoder) rows(dst []byte, b *exec.Batch, _ []column) []byte {
	for i := range b.Rows {
		dst = append(dst, '{')
		for c, v := range b.Vectors {
			if c > 0 {
				dst = append(dst, ',')
			}
			dst = appendCell(append(dst, e.names[c]...), v, i, e.bare)
		}
		dst = append(dst, "}\n"...)
	}
	return dst
}

func (e *ndjsonEncoder) end(dst []byte, _ *query.Answer) []byte { return dst }

// accepts refuses two columns of one name: clients would silently drop one of them.
func (e *ndjsonEncoder) accepts(cols []column) error {
	seen := make(map[string]bool, len(cols))
	for _, c := range cols {
		if seen[c.Name] {
			err := schemas.Errorf(schemas.CodeAmbiguous, "42701", "two columns are named %q, which objects cannot hold", c.Name)
			err.Hint = "name them apart with AS, or ask for format json or csv"
			return err
		}
		seen[c.Name] = true
	}
	return nil
}

func (e *ndjsonEncoder) broken(dst []byte, body errorBody) []byte {
	return append(appendJSON(dst, map[string]any{"$error": body.Error}), '\n')
}

// csvEncoder writes a header line and RFC 4180 rows: NULL is an empty field, an
// empty string is "".
type csvEncoder struct{ cell []byte }

func (e *csvEncoder) contentType() string { return "text/csv; charset=utf-8; header=present" }

func (e *csvEncoder) begin(dst []byte, a *query.Answer) []byte {
	for i, c := range a.Columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendCSV(dst, []byte(c.Name))
	}
	return append(dst, "\r\n"...)
}

func (e *csvEncoder) rows(dst []byte, b *exec.Batch, _ []column) []byte {
	for i := range b.Rows {
		for c, v := range b.Vectors {
			if c > 0 {
				dst = append(dst, ',')
			}
			if v.Null(i) {
				continue
			}
			e.cell = pgtext.AppendVector(e.cell[:0], v, i)
			dst = appendCSV(dst, e.cell)
		}
		dst = append(dst, "\r\n"...)
	}
	return dst
}

func (e *csvEncoder) end(dst []byte, _ *query.Answer) []byte { return dst }

func (e *csvEncoder) accepts([]column) error { return nil }

func (e *csvEncoder) broken([]byte, errorBody) []byte { return nil }

func appendCSV(dst, cell []byte) []byte {
	quote := len(cell) == 0
	for _, c := range cell {
		if c == '"' || c == ',' || c == '\n' || c == '\r' {
			quote = true
			break
		}
	}
	if !quote {
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	for _, c := range cell {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// appendCell writes one value as JSON: numbers that every client holds exactly as
// numbers, bigint and numeric as strings unless bare, jsonb as itself, everything
// else as PostgreSQL's text.
func appendCell(dst []byte, v *vector.Vector, i int, bare bool) []byte {
	if v.Null(i) {
		return append(dst, "null"...)
	}
	switch k := v.Type.Kind; k {
	case schemas.Bool:
		return strconv.AppendBool(dst, v.Int(i) != 0)
	case schemas.Int16, schemas.Int32:
		return strconv.AppendInt(dst, v.Int(i), 10)
	case schemas.JSONB:
		return append(dst, v.Bytes(i)...)
	case schemas.Int64, schemas.Numeric, schemas.Float32, schemas.Float64:
		start := len(dst)
		dst = pgtext.AppendVector(append(dst, '"'), v, i)
		last := dst[len(dst)-1]
		if (bare || k.IsFloat()) && last >= '0' && last <= '9' { // not NaN or infinity
			copy(dst[start:], dst[start+1:])
			return dst[:len(dst)-1]
		}
		return append(dst, '"')
	case schemas.Text, schemas.Varchar:
		return appendJSONText(dst, v.Bytes(i))
	}
	dst = append(dst, '"')
	start := len(dst)
	dst = pgtext.AppendVector(dst, v, i)
	if needsEscape(dst[start:]) { // bytea's \x
		text := string(dst[start:])
		return appendJSONText(dst[:start-1], []byte(text))
	}
	return append(dst, '"')
}

func needsEscape(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

const hexDigits = "0123456789abcdef"

func appendJSONText(dst, b []byte) []byte {
	dst = append(dst, '"')
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] >= 0x20 && b[n] != '"' && b[n] != '\\' {
			n++
		}
		dst, b = append(dst, b[:n]...), b[n:]
		if len(b) == 0 {
			break
		}
		switch c := b[0]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		b = b[1:]
	}
	return append(dst, '"')
}

// appendJSON encodes small things that are not rows.
func appendJSON(dst []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own plain types come here
	}
	return append(dst, b...)
}
