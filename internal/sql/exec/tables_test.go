package exec_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// testTable is the rows of a table for both engines.
type testTable struct {
	name string
	cols []schemas.Column
	rows []schemas.Row
}

func column(name string, t schemas.Type) schemas.Column { return schemas.Column{Name: name, Type: t} }

func kind(k schemas.Kind) schemas.Type { return schemas.Type{Kind: k} }

// corpusTables are small enough that every plan runs quickly with batches of one row.
func corpusTables(r *rand.Rand) []testTable {
	sales := testTable{name: "sales", cols: []schemas.Column{
		column("id", kind(schemas.Int32)), column("cust", kind(schemas.Int32)), column("status", kind(schemas.Text)),
		column("amount", schemas.Type{Kind: schemas.Numeric, Precision: 12, Scale: 2}), column("price", kind(schemas.Numeric)),
		column("qty", kind(schemas.Int16)), column("big", kind(schemas.Int64)), column("r", kind(schemas.Float32)), column("d", kind(schemas.Float64)),
		column("note", kind(schemas.Text)), column("day", kind(schemas.Date)), column("ts", kind(schemas.Timestamp)), column("tz", kind(schemas.TimestampTZ)),
		column("iv", kind(schemas.Interval)), column("flag", kind(schemas.Bool)), column("code", schemas.Type{Kind: schemas.Char, Length: 4}), column("tag", schemas.Type{Kind: schemas.Varchar, Length: 20}),
	}}
	notes := []string{"", "plain", "a longer note than twelve bytes", "50% off", "under_score", `back\slash`, "héllo", "Plain", "zz"}
	for i := range 700 {
		null := func(v schemas.Value, odds int) schemas.Value {
			if r.IntN(odds) == 0 {
				return schemas.Null
			}
			return v
		}
		price := schemas.NewNumeric(r.Int64N(2_000_000)-1_000_000, r.IntN(7))
		switch r.IntN(60) {
		case 0:
			price = schemas.NewNumericText("NaN")
		case 1:
			price = schemas.NewNumericText("12345678901234567890123.000456")
		}
		sales.rows = append(sales.rows, schemas.Row{
			schemas.NewInt(schemas.Int32, int64(i)), null(schemas.NewInt(schemas.Int32, r.Int64N(40)), 12), schemas.NewText([]string{"open", "paid", "shipped", "void"}[r.IntN(4)]),
			null(schemas.NewNumeric(r.Int64N(100_000)-20_000, 2), 9), null(price, 7),
			null(schemas.NewInt(schemas.Int16, r.Int64N(20)), 11), schemas.NewInt(schemas.Int64, r.Int64N(1<<40)-1<<39), null(schemas.NewFloat(schemas.Float32, float64(r.IntN(64))/4), 8), null(schemas.NewFloat(schemas.Float64, float64(r.IntN(4096)-1000)/8), 8),
			null(schemas.NewText(notes[r.IntN(len(notes))]), 5), schemas.NewInt(schemas.Date, 19000+r.Int64N(800)), null(schemas.NewInt(schemas.Timestamp, 1_650_000_000_000_000+r.Int64N(60_000_000)*1_000_003), 10), schemas.NewInt(schemas.TimestampTZ, 1_700_000_000_000_000+r.Int64N(86_400*30)*1_000_000),
			null(schemas.NewInterval(int32(r.IntN(5)), int32(r.IntN(30)), r.Int64N(86_400)*1_000_000), 6), null(schemas.NewBool(r.IntN(2) == 0), 7), null(schemas.NewBytes(schemas.Char, []string{"a", "ab", "abc", "b"}[r.IntN(4)]), 9), schemas.NewBytes(schemas.Varchar, fmt.Sprintf("tag%d", r.IntN(300))),
		})
	}
	custs := testTable{name: "custs", cols: []schemas.Column{
		column("id", kind(schemas.Int32)), column("name", kind(schemas.Text)), column("region", kind(schemas.Text)),
		column("credit", schemas.Type{Kind: schemas.Numeric, Precision: 10, Scale: 2}), column("since", kind(schemas.Date)), column("big", kind(schemas.Int64)),
	}}
	for i := range 35 {
		region := schemas.NewText([]string{"north", "south", "east"}[i%3])
		if i%10 == 9 {
			region = schemas.Null
		}
		custs.rows = append(custs.rows, schemas.Row{schemas.NewInt(schemas.Int32, int64(i)), schemas.NewText(fmt.Sprintf("customer %d", i%30)), region,
			schemas.NewNumeric(int64(i)*1000+50, 2), schemas.NewInt(schemas.Date, 18000+int64(i)), schemas.NewInt(schemas.Int64, int64(i)*3_000_000_000)})
	}
	nothing := testTable{name: "nothing", cols: []schemas.Column{column("id", kind(schemas.Int32)), column("x", kind(schemas.Numeric)), column("s", kind(schemas.Text))}}
	edge := testTable{name: "edge", cols: []schemas.Column{column("i", kind(schemas.Int32)), column("b", kind(schemas.Int64)), column("f", kind(schemas.Float64)), column("n", kind(schemas.Numeric))}}
	for _, v := range []struct {
		i, b int64
		f    string
		n    string
	}{{2147483647, 9223372036854775807, "NaN", "NaN"}, {-2147483648, -9223372036854775808, "Infinity", "Infinity"}, {0, 0, "-0", "-Infinity"}, {1, 1, "0", "0.00"}, {-1, -1, "-Infinity", "0"}, {7, 7, "1.5", "99999999999999999999999999999999999999.99"}} {
		f, _ := pgtext.ParseFloat(schemas.Float64, []byte(v.f))
		n, _ := pgtext.ParseValue(kind(schemas.Numeric), v.n)
		edge.rows = append(edge.rows, schemas.Row{schemas.NewInt(schemas.Int32, v.i), schemas.NewInt(schemas.Int64, v.b), schemas.NewFloat(schemas.Float64, f), n})
	}
	edge.rows = append(edge.rows, schemas.Row{schemas.Null, schemas.Null, schemas.Null, schemas.Null})
	return []testTable{sales, custs, nothing, edge}
}

// load creates and fills the tables in PostgreSQL.
func load(db *pgtest.DB, tables []testTable) {
	for _, t := range tables {
		var defs []string
		for _, c := range t.cols {
			defs = append(defs, c.Name+" "+c.Type.String())
		}
		db.Exec("CREATE TABLE %s (%s)", t.name, strings.Join(defs, ", "))
		for at := 0; at < len(t.rows); at += 200 {
			var rows []string
			for _, r := range t.rows[at:min(at+200, len(t.rows))] {
				var vals []string
				for i, v := range r {
					if v.IsNull() {
						vals = append(vals, "NULL")
					} else {
						vals = append(vals, "'"+strings.ReplaceAll(string(pgtext.AppendTyped(nil, t.cols[i].Type, v)), "'", "''")+"'")
					}
				}
				rows = append(rows, "("+strings.Join(vals, ", ")+")")
			}
			db.Exec("%s", "INSERT INTO "+t.name+" VALUES "+strings.Join(rows, ", "))
		}
	}
}

// stored makes the catalog: blocks of random sizes and encodings, with rows in between
// that are not visible.
func stored(r *rand.Rand, tables []testTable, blockRows int) *sqltest.Catalog {
	var out []*sqltest.Table
	for _, t := range tables {
		table := sqltest.NewTable(t.name, t.cols...)
		if r.IntN(2) == 0 {
			table.Encode = sqltest.Random(r)
		}
		ghosts := r.IntN(2) == 0
		for at := 0; at < len(t.rows); {
			n := min(1+r.IntN(blockRows), len(t.rows)-at)
			cols := make([]*vector.Vector, len(t.cols))
			for i, c := range t.cols {
				cols[i] = vector.New(c.Type, n)
			}
			var visible vector.Bitmap
			if ghosts {
				visible = vector.NewBitmap(3 * n)
			}
			rows := 0
			for _, row := range t.rows[at : at+n] {
				for ghosts && r.IntN(3) == 0 && rows < 3*n-n {
					appendRow(cols, t.rows[r.IntN(len(t.rows))])
					rows++
				}
				appendRow(cols, row)
				if ghosts {
					visible.Set(rows)
				}
				rows++
			}
			if ghosts {
				visible = visible[:vector.Words(rows)]
			}
			table.AppendBlock(cols, visible)
			at += n
		}
		out = append(out, table)
	}
	return sqltest.New(out...)
}

func appendRow(cols []*vector.Vector, row schemas.Row) {
	for i, v := range row {
		cols[i].AppendValue(v)
	}
}
