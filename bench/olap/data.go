package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// line is one row of the big table, as plain numbers that both engines load.
type line struct {
	id, orderkey        int64
	customer            int32
	quantity            int64 // hundredths, as are all amounts
	price               int64
	discount            int64
	tax                 int64
	flag, state, status uint8
	mode                uint8
	day                 int32
	comment             uint16
}

var (
	flags    = []string{"A", "N", "R"}
	states   = []string{"F", "O"}
	statuses = []string{"open", "paid", "packed", "shipped", "delivered", "returned", "void", "lost"}
	modes    = []string{"AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"}
	regions  = []string{"AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"}
)

const customers = 100_000

// comments are 5,000 sentences, one in fifty about something special.
func comments() []string {
	r := rand.New(rand.NewPCG(7, 7))
	words := []string{"carefully", "quick", "deposits", "sleep", "final", "requests", "bold", "packages", "above", "the", "ironic", "accounts"}
	out := make([]string, 5000)
	for i := range out {
		for range 4 + r.IntN(4) {
			out[i] += words[r.IntN(len(words))] + " "
		}
		if i%50 == 0 {
			out[i] += "special"
		}
		out[i] += fmt.Sprint(i)
	}
	return out
}

// generate calls f for n rows; the same n gives the same rows. Days rise slowly, as in a
// table that is loaded in the order of its events.
func generate(n int, f func(l *line)) {
	r := rand.New(rand.NewPCG(42, 42))
	var l line
	for i := range n {
		l.id = int64(i)
		l.orderkey = int64(i/4)*8 + int64(r.IntN(4))
		l.customer = int32(r.IntN(customers))
		l.quantity = int64(1+r.IntN(50)) * 100
		l.price = int64(90_000 + r.IntN(10_400_000))
		l.discount = int64(r.IntN(11))
		l.tax = int64(r.IntN(9))
		l.day = int32(8035 + r.IntN(2526)) // 1992-01-01 and seven years on
		l.flag = uint8(r.IntN(3))
		l.state = uint8(r.IntN(2))
		l.status = uint8(r.IntN(len(statuses)))
		l.mode = uint8(r.IntN(len(modes)))
		l.comment = uint16(r.IntN(5000))
		f(&l)
	}
}

func numeric(p, s int16) schemas.Type {
	return schemas.Type{Kind: schemas.Numeric, Precision: p, Scale: s}
}

// loadOwn makes the tables as the column store would hold them.
func loadOwn(n int) *sqltest.Catalog {
	text := schemas.Type{Kind: schemas.Text}
	lines := sqltest.NewTable("lines",
		sqltest.Col("id", schemas.Int64), sqltest.Col("orderkey", schemas.Int64), sqltest.Col("customer", schemas.Int32),
		schemas.Column{Name: "quantity", Type: numeric(12, 2)}, schemas.Column{Name: "price", Type: numeric(12, 2)},
		schemas.Column{Name: "discount", Type: numeric(12, 2)}, schemas.Column{Name: "tax", Type: numeric(12, 2)},
		schemas.Column{Name: "flag", Type: text}, schemas.Column{Name: "state", Type: text}, schemas.Column{Name: "status", Type: text},
		schemas.Column{Name: "mode", Type: text}, sqltest.Col("day", schemas.Date), schemas.Column{Name: "comment", Type: text})
	const block = 64 << 10
	words := comments()
	var cols []*vector.Vector
	fresh := func() {
		cols = nil
		for _, c := range lines.Schema().Columns {
			cols = append(cols, vector.New(c.Type, block))
		}
	}
	fresh()
	generate(n, func(l *line) {
		cols[0].AppendInt(l.id)
		cols[1].AppendInt(l.orderkey)
		cols[2].AppendInt(int64(l.customer))
		for i, x := range []int64{l.quantity, l.price, l.discount, l.tax} {
			cols[3+i].AppendDecimal(x, 2)
		}
		for i, s := range []string{flags[l.flag], states[l.state], statuses[l.status], modes[l.mode]} {
			cols[7+i].AppendBytes([]byte(s))
		}
		cols[11].AppendInt(int64(l.day))
		cols[12].AppendBytes([]byte(words[l.comment]))
		if cols[0].Len == block {
			lines.AppendBlock(cols, nil)
			fresh()
		}
	})
	if cols[0].Len > 0 {
		lines.AppendBlock(cols, nil)
	}
	custs := sqltest.NewTable("customers", sqltest.Col("id", schemas.Int32), schemas.Column{Name: "region", Type: text}, schemas.Column{Name: "name", Type: text})
	var rows []schemas.Row
	for i := range customers {
		rows = append(rows, schemas.Row{schemas.NewInt(schemas.Int32, int64(i)), schemas.NewText(regions[i%5]), schemas.NewText(fmt.Sprintf("Customer#%06d", i))})
	}
	custs.Append(rows...)
	return sqltest.New(lines, custs)
}
