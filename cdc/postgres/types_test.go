package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// edgeValues are SQL literals per type; NULL is added to each.
var edgeValues = []struct {
	typ    string
	values []string
}{
	{"boolean", []string{"true", "false"}},
	{"smallint", []string{"0", "-32768", "32767"}},
	{"integer", []string{"0", "-2147483648", "2147483647"}},
	{"bigint", []string{"0", "-9223372036854775808", "9223372036854775807"}},
	{"real", []string{"0", "-0.0", "'NaN'", "'Infinity'", "'-Infinity'", "1e-45", "3.4028235e38", "0.1", "1e6", "16777216"}},
	{"double precision", []string{"0", "-0.0", "'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "1.7976931348623157e308", "0.1", "1e23", "1e15", "123456789012345"}},
	{"numeric", []string{"0", "0.00", "-0.5", "1", "10000", "9999", "0.0001", "0.00001", "'NaN'", "'Infinity'", "'-Infinity'", "999999999999999999", "1000000000000000000", "-999999999999999999", "12345678901234567890123456789012345678901234567890.123456789", "1e100", "1e-100", "1e-16383", "100000000", "0.10000000", "1e131071", "99999999999999999.9", "0.999999999999999999", "-0.0000000000000000001", "20000000000000000"}},
	{"numeric(12,2)", []string{"0", "1.5", "-9999999999.99", "0.01", "'NaN'"}},
	{"numeric(40,20)", []string{"0", "1.5", "12345678901234567890.12345678901234567890"}},
	{"numeric(5,-2)", []string{"0", "12345", "-99"}},
	{"text", []string{"''", "'é日本😀'", "E'a\\tb\\nc\\\\d'", "repeat('x', 100000)", "'\\N'"}},
	{"varchar(5)", []string{"''", "'abcde'", "'ab   '"}},
	{"char(5)", []string{"''", "'abcde'", "'ab   '", "' a'"}},
	{"bytea", []string{"''", "'\\x00ff00'", "decode(repeat('ab', 5000), 'hex')"}},
	{"date", []string{"'infinity'", "'-infinity'", "'4714-11-24 BC'", "'5874897-12-31'", "'2000-01-01'", "'1969-12-31'", "'0001-01-01'", "'0001-12-31 BC'"}},
	{"time", []string{"'00:00'", "'24:00'", "'23:59:59.999999'"}},
	{"timestamp", []string{"'infinity'", "'-infinity'", "'4714-11-24 00:00 BC'", "'294246-12-31 23:59:59.999999'", "'2000-01-01'", "'1969-12-31 23:59:59.999999'"}},
	{"timestamptz", []string{"'infinity'", "'-infinity'", "'0044-03-15 12:00+00 BC'", "'2024-03-10 02:30:00.5 America/New_York'"}},
	{"interval", []string{"'0'", "'1 year 2 mons -3 days 04:05:06.789'", "'-178000000 years'", "'2147483647 days -2562047788:00:54.775807'"}},
	{"uuid", []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'"}},
	{"jsonb", []string{"'null'", "'{}'", "'[]'", `'{"b": 1e5, "aa": [1.50, {"x": "é\u0001"}], "a": -0}'`, "'\"\"'", "to_jsonb(repeat('y', 5000))"}},
}

// TestTypes sends edge values of every type through snapshot and stream (I5).
func TestTypes(t *testing.T) {
	db := pg.Database(t)
	var tables []string
	for i, e := range edgeValues {
		name := fmt.Sprintf("t%d", i)
		db.Exec("CREATE TABLE %s (id int PRIMARY KEY, v %s)", name, e.typ)
		fill(db, name, e.values, 0)
		tables = append(tables, "public."+name)
	}
	for _, text := range []bool{false, true} {
		t.Run(fmt.Sprintf("text=%v", text), func(t *testing.T) {
			s := newSource(t, db, fmt.Sprintf("types_%v", text), Options{Tables: tables})
			s.text = text
			f := newFold()
			running, stop := settle(t, s, f)
			f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
			for i, e := range edgeValues {
				f.equal(t, db, tables[i])
				db.Exec("DELETE FROM t%d WHERE id >= 1000", i)
				fill(db, fmt.Sprintf("t%d", i), e.values, 1000)
				db.Exec("UPDATE t%d SET v = NULL WHERE id = 1001", i)
			}
			f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
			stop()
			for _, table := range tables {
				f.equal(t, db, table)
			}
		})
	}
}

func fill(db *pgtest.DB, table string, values []string, from int) {
	var rows []string
	for i, v := range append([]string{"NULL"}, values...) {
		rows = append(rows, fmt.Sprintf("(%d, %s)", from+i, v))
	}
	db.Exec("INSERT INTO %s VALUES %s", table, strings.Join(rows, ", "))
}

// TestBinaryNumeric compares random numbers in binary with PostgreSQL's text.
func TestBinaryNumeric(t *testing.T) {
	db := pg.Database(t)
	rng := rand.New(rand.NewPCG(5, 6))
	var values []string
	for range 2000 {
		n := fmt.Sprint(rng.Int64() >> rng.IntN(63))
		s := fmt.Sprintf("%se%d", n, rng.IntN(30)-20)
		if rng.IntN(2) == 0 {
			s = fmt.Sprintf("%s%d.%0*d", []string{"", "-"}[rng.IntN(2)], rng.IntN(100000), 1+rng.IntN(9), rng.IntN(10))
		}
		values = append(values, s)
	}
	r := db.Query("SELECT v::text, encode(numeric_send(v), 'hex') FROM unnest('{%s}'::numeric[]) v", strings.Join(values, ","))
	for _, row := range r.Rows {
		raw, _ := hex.DecodeString(row[1])
		v := vector.New(schemas.Type{Kind: schemas.Numeric}, 1)
		if err := appendBinary(v, raw); err != nil {
			t.Fatal(err)
		}
		if got := string(v.AppendDecimalAt(nil, 0)); got != row[0] {
			t.Fatalf("%s reads as %s", row[0], got)
		}
	}
}

// TestTimestampRange: what int64 cannot hold is refused by name.
func TestTimestampRange(t *testing.T) {
	v := vector.New(schemas.Type{Kind: schemas.Timestamp}, 1)
	if err := appendBinary(v, binary.BigEndian.AppendUint64(nil, 9223371331199999999)); schemas.CodeOf(err) != schemas.CodeOutOfRange {
		t.Fatalf("got %v", err)
	}
}

// FuzzMessages: no message of any shape panics the decoder.
func FuzzMessages(f *testing.F) {
	for _, s := range []string{"I\x00\x00\x00\x01N\x00\x01t\x00\x00\x00\x011", "U\x00\x00\x00\x01K\x00\x01t\x00\x00\x00\x011N\x00\x01n", "D\x00\x00\x00\x01O\x00\x01u", "T\x00\x00\x00\x01\x00\x00\x00\x00\x01", "R\x00\x00\x00\x01public\x00t\x00d\x00\x01\x01v\x00\x00\x00\x00\x17\xff\xff\xff\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, m []byte) {
		if len(m) == 0 {
			return
		}
		tab := &table{oid: 1, namespace: "public", name: "t", identity: 'd', primary: []int16{1}, columns: []*column{{num: 1, name: "v", oid: 23, mod: -1, typ: schemas.Type{Kind: schemas.Int32}}}}
		if err := tab.describe(); err != nil {
			t.Fatal(err)
		}
		fd := newFeed(tab)
		fd.at, fd.key, fd.ready = []int{0}, []bool{true}, true
		d := decoder{feeds: map[uint32]*feed{1: fd}, hand: discard, barrier: discardBarrier}
		_ = d.message(t.Context(), m)
	})
}
