package httpapi

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/schemas"
)

// cells are a value of each kind: PostgreSQL's text, and its JSON in both manners.
var cells = []struct {
	name       string
	typ        schemas.Type
	text       string
	json, bare string
}{
	{"b", schemas.Type{Kind: schemas.Bool}, "t", "true", "true"},
	{"i2", schemas.Type{Kind: schemas.Int16}, "-32768", "-32768", "-32768"},
	{"i4", schemas.Type{Kind: schemas.Int32}, "2147483647", "2147483647", "2147483647"},
	{"i8", schemas.Type{Kind: schemas.Int64}, "9007199254740993", `"9007199254740993"`, "9007199254740993"},
	{"f4", schemas.Type{Kind: schemas.Float32}, "1.5", "1.5", "1.5"},
	{"f8", schemas.Type{Kind: schemas.Float64}, "1e+300", "1e+300", "1e+300"},
	{"nan", schemas.Type{Kind: schemas.Float64}, "NaN", `"NaN"`, `"NaN"`},
	{"inf", schemas.Type{Kind: schemas.Float32}, "-Infinity", `"-Infinity"`, `"-Infinity"`},
	{"num", schemas.Type{Kind: schemas.Numeric, Precision: 12, Scale: 2}, "10.50", `"10.50"`, "10.50"},
	{"wide", schemas.Type{Kind: schemas.Numeric}, "123456789012345678901234567890.12345", `"123456789012345678901234567890.12345"`, "123456789012345678901234567890.12345"},
	{"numnan", schemas.Type{Kind: schemas.Numeric}, "NaN", `"NaN"`, `"NaN"`},
	{"txt", schemas.Type{Kind: schemas.Text}, "q\"b\\ \n\r\t\x01\x1f\x7f é😀,</script>", `"q\"b\\ \n\u000d\t\u0001\u001f` + "\x7f" + ` é😀,</script>"`, ""},
	{"empty", schemas.Type{Kind: schemas.Text}, "", `""`, `""`},
	{"vc", schemas.Type{Kind: schemas.Varchar, Length: 9}, "a,b", `"a,b"`, `"a,b"`},
	{"ch", schemas.Type{Kind: schemas.Char, Length: 4}, "é\"  ", `"é\"  "`, `"é\"  "`},
	{"by", schemas.Type{Kind: schemas.Bytea}, `\x00ff22`, `"\\x00ff22"`, `"\\x00ff22"`},
	{"d", schemas.Type{Kind: schemas.Date}, "2024-02-29", `"2024-02-29"`, `"2024-02-29"`},
	{"dinf", schemas.Type{Kind: schemas.Date}, "infinity", `"infinity"`, `"infinity"`},
	{"tm", schemas.Type{Kind: schemas.Time}, "23:59:59.000001", `"23:59:59.000001"`, `"23:59:59.000001"`},
	{"ts", schemas.Type{Kind: schemas.Timestamp}, "2024-02-29 12:00:00.5", `"2024-02-29 12:00:00.5"`, `"2024-02-29 12:00:00.5"`},
	{"tz", schemas.Type{Kind: schemas.TimestampTZ}, "2024-02-29 12:00:00+00", `"2024-02-29 12:00:00+00"`, `"2024-02-29 12:00:00+00"`},
	{"iv", schemas.Type{Kind: schemas.Interval}, "1 mon -2 days +03:00:00", `"1 mon -2 days +03:00:00"`, `"1 mon -2 days +03:00:00"`},
	{"u", schemas.Type{Kind: schemas.UUID}, "0b4c5b1e-8a7d-4f30-9a53-2f1f1f1f1f1f", `"0b4c5b1e-8a7d-4f30-9a53-2f1f1f1f1f1f"`, `"0b4c5b1e-8a7d-4f30-9a53-2f1f1f1f1f1f"`},
	{"j", schemas.Type{Kind: schemas.JSONB}, `{"a": [1, null, "x\"y"]}`, `{"a": [1, null, "x\"y"]}`, `{"a": [1, null, "x\"y"]}`},
}

// kindsTable has a row of those values and a row of NULLs.
func kindsTable() *sqltest.Table {
	cols := []schemas.Column{{Name: "id", Type: schemas.Type{Kind: schemas.Int32}, NotNull: true}}
	first, second := schemas.Row{schemas.NewInt(schemas.Int32, 1)}, schemas.Row{schemas.NewInt(schemas.Int32, 2)}
	for _, c := range cells {
		v, err := pgtext.ParseValue(c.typ, c.text)
		if err != nil {
			panic(err)
		}
		cols = append(cols, schemas.Column{Name: c.name, Type: c.typ})
		first, second = append(first, v), append(second, schemas.Null)
	}
	t := sqltest.NewTable("kinds", cols...)
	t.Append(first, second)
	return t
}

type document struct {
	QueryID  string `json:"query_id"`
	Snapshot struct{ LSN, Time string }
	Columns  []struct {
		Name, Type string
		Nullable   bool
	}
	Rows  [][]json.RawMessage
	Stats map[string]float64
}

func (f *fixture) document(res *http.Response, body string) document {
	f.t.Helper()
	var d document
	if err := json.Unmarshal([]byte(body), &d); err != nil || res.StatusCode != 200 {
		f.t.Fatalf("status %d, %v: %s", res.StatusCode, err, body)
	}
	return d
}

func TestJSONKinds(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	for _, numbers := range []string{"", "text", "json"} {
		res, body := f.sql("SELECT * FROM kinds ORDER BY id", "format=json&numbers="+numbers)
		d := f.document(res, body)
		if len(d.Rows) != 2 || len(d.Columns) != len(cells)+1 || d.Columns[0].Nullable {
			t.Fatalf("rows and columns: %s", body)
		}
		for i, c := range cells {
			want := c.json
			if numbers == "json" && c.bare != "" {
				want = c.bare
			}
			if got := string(d.Rows[0][i+1]); got != want {
				t.Errorf("numbers=%s %s is %s, want %s", numbers, c.name, got, want)
			}
			if got := string(d.Rows[1][i+1]); got != "null" {
				t.Errorf("NULL of %s is %s", c.name, got)
			}
			if got := d.Columns[i+1]; got.Name != c.name || got.Type != c.typ.String() || !got.Nullable {
				t.Errorf("column %d is %+v", i+1, got)
			}
			if c.typ.Kind.IsText() {
				var s string
				if err := json.Unmarshal(d.Rows[0][i+1], &s); err != nil || s != c.text {
					t.Errorf("%s reads back as %q, %v", c.name, s, err)
				}
			}
		}
	}
}

func TestNDJSONKinds(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	_, body := f.sql("SELECT * FROM kinds ORDER BY id", "format=ndjson")
	lines := strings.Split(body, "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("%d lines: %q", len(lines), body)
	}
	var first, second map[string]json.RawMessage
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &second); err != nil {
		t.Fatal(err)
	}
	for _, c := range cells {
		if string(first[c.name]) != c.json || string(second[c.name]) != "null" {
			t.Errorf("%s is %s and %s", c.name, first[c.name], second[c.name])
		}
	}
	res, body := f.sql(`SELECT id, id AS "id" FROM people`, "format=ndjson")
	if e := f.failure(body); res.StatusCode != 400 || e.Code != schemas.CodeAmbiguous || e.Hint == "" {
		t.Errorf("two columns of a name: %d %+v", res.StatusCode, e)
	}
	if _, body := f.sql(`SELECT 1 AS "a""b`+"\n"+`"`, "format=ndjson"); body != `{"a\"b\n":1}`+"\n" {
		t.Errorf("a name with quotes: %q", body)
	}
}

func TestCSVKinds(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	_, body := f.sql("SELECT * FROM kinds ORDER BY id", "format=csv")
	records, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(records) != 3 {
		t.Fatalf("%d records, %v: %q", len(records), err, body)
	}
	for i, c := range cells {
		want := strings.ReplaceAll(c.text, "\r\n", "\n") // what encoding/csv makes of it
		if records[0][i+1] != c.name || records[1][i+1] != want || records[2][i+1] != "" {
			t.Errorf("%s: %q", c.name, []string{records[0][i+1], records[1][i+1], records[2][i+1]})
		}
	}
	if _, body := f.sql(`SELECT NULL AS n, '' AS "e,""f", 'x' AS x`, "format=csv"); body != "n,\"e,\"\"f\",x\r\n,\"\",x\r\n" {
		t.Errorf("NULL and empty: %q", body)
	}
}

func TestEmptyResults(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	const none = "SELECT id, name FROM people WHERE id > 99"
	res, body := f.sql(none, "")
	if d := f.document(res, body); len(d.Rows) != 0 || d.Rows == nil || len(d.Columns) != 2 || d.Stats["rows"] != 0 {
		t.Errorf("json: %s", body)
	}
	if res, body := f.sql(none, "format=ndjson"); body != "" || res.StatusCode != 200 {
		t.Errorf("ndjson: %d %q", res.StatusCode, body)
	}
	if _, body := f.sql(none, "format=csv"); body != "id,name\r\n" {
		t.Errorf("csv: %q", body)
	}
}

func TestFormatNegotiation(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	for _, c := range []struct{ format, accept, want string }{
		{"", "", "application/json"}, {"", "*/*", "application/json"}, {"", "text/html", "application/json"},
		{"", "text/csv", "text/csv; charset=utf-8; header=present"}, {"", "Application/X-NDJSON", "application/x-ndjson"},
		{"", "text/html, application/ndjson;q=0.5", "application/x-ndjson"}, {"CSV", "application/json", "text/csv; charset=utf-8; header=present"},
	} {
		req, _ := http.NewRequest("GET", f.URL+"/v1/query?query=SELECT+1&format="+c.format, nil)
		req.Header.Set("Accept", c.accept)
		res, err := f.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Content-Type"); got != c.want {
			t.Errorf("format %q, Accept %q: %s", c.format, c.accept, got)
		}
	}
}

func TestHeadersAndStats(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	res, body := f.post(`{"sql":"SELECT * FROM people","query_id":"mine-1"}`)
	d := f.document(res, body)
	if d.QueryID != "mine-1" || res.Header.Get("X-Query-Id") != "mine-1" || d.Snapshot.LSN != "0/1C8A40" || res.Header.Get("X-Snapshot-Lsn") != "0/1C8A40" {
		t.Errorf("identity: %v %s", res.Header, body)
	}
	var fresh, queue, plan, exec float64
	if _, err := fmt.Sscanf(res.Header.Get("X-Freshness-Ms"), "%f", &fresh); err != nil || fresh < 20 || fresh > 5000 {
		t.Errorf("X-Freshness-Ms is %q", res.Header.Get("X-Freshness-Ms"))
	}
	if _, err := fmt.Sscanf(res.Header.Get("Server-Timing"), "queue;dur=%f, plan;dur=%f, exec;dur=%f", &queue, &plan, &exec); err != nil {
		t.Errorf("Server-Timing is %q", res.Header.Get("Server-Timing"))
	}
	for _, key := range []string{"rows_read", "bytes_read", "rows_skipped", "peak_memory_bytes", "queue_ms", "plan_ms", "exec_ms", "freshness_ms", "rows"} {
		if _, ok := d.Stats[key]; !ok {
			t.Errorf("no %s in %v", key, d.Stats)
		}
	}
	if d.Stats["rows"] != 3 || d.Stats["rows_read"] != 3 {
		t.Errorf("stats: %v", d.Stats)
	}
}

func TestParametersAndExplain(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	res, body := f.post(`{"sql":"SELECT name, $2::numeric + 1, $3::boolean, $4::text FROM people WHERE id = $1","params":[2,"10.25",true,null]}`)
	d := f.document(res, body)
	if got := fmt.Sprintf("%s", d.Rows); got != `[["bob" "11.25" true null]]` {
		t.Errorf("rows %s", got)
	}
	res, body = f.sql("EXPLAIN SELECT name FROM people WHERE id = 2", "")
	if d := f.document(res, body); d.Columns[0].Name != "QUERY PLAN" || !strings.Contains(body, "people") {
		t.Errorf("plan: %s", body)
	}
	if res, body = f.do("POST", "/v1/query", "application/x-www-form-urlencoded", ` {"sql":"SELECT 1"}`); res.StatusCode != 200 {
		t.Errorf("JSON as curl -d sends it: %s", body)
	}
}

// TestDocumentedExample keeps the answer in docs/http.md true to form.
func TestDocumentedExample(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	res, body := f.sql("SELECT name, count(*) FROM people GROUP BY name ORDER BY name", "")
	f.document(res, body)
	if want := `"columns":[{"name":"name","type":"text","nullable":true},{"name":"count","type":"bigint","nullable":false}]`; !strings.Contains(body, want) {
		t.Errorf("columns: %s", body)
	}
	text, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	var got, want map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(example), &want); err != nil {
		t.Fatalf("the example is no JSON: %v", err)
	}
	if g, w := keys(got), keys(want); g != w {
		t.Errorf("the answer has %s, the example %s", g, w)
	}
	if g, w := keys(got["stats"]), keys(want["stats"]); g != w {
		t.Errorf("stats have %s, the example %s", g, w)
	}
}

func keys(v any) string {
	m, _ := v.(map[string]any)
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}

// TestDocumentedStatuses: docs/http.md lists every status that an error can have.
func TestDocumentedStatuses(t *testing.T) {
	text, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, status := range statuses {
		if status == 401 || status == 403 { // nothing here asks who the client is
			continue
		}
		if !strings.Contains(string(text), fmt.Sprintf("\n| %d |", status)) {
			t.Errorf("%d of %s is not in docs/http.md", status, code)
		}
	}
}
