package main

import (
	"fmt"
	"math/rand/v2"

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

var text = schemas.Type{Kind: schemas.Text}

// table describes a table whose first column is its key.
func table(name string, columns ...schemas.Column) *schemas.Table {
	for i := range columns {
		columns[i].ID = uint32(i + 1)
	}
	columns[0].NotNull = true
	return &schemas.Table{Schema: "public", Name: name, Version: 1, Key: []uint32{1}, Columns: columns}
}

func column(name string, kind schemas.Kind) schemas.Column {
	return schemas.Column{Name: name, Type: schemas.Type{Kind: kind}}
}

func linesTable() *schemas.Table {
	return table("lines",
		column("id", schemas.Int64), column("orderkey", schemas.Int64), column("customer", schemas.Int32),
		schemas.Column{Name: "quantity", Type: numeric(12, 2)}, schemas.Column{Name: "price", Type: numeric(12, 2)},
		schemas.Column{Name: "discount", Type: numeric(12, 2)}, schemas.Column{Name: "tax", Type: numeric(12, 2)},
		schemas.Column{Name: "flag", Type: text}, schemas.Column{Name: "state", Type: text}, schemas.Column{Name: "status", Type: text},
		schemas.Column{Name: "mode", Type: text}, column("day", schemas.Date), schemas.Column{Name: "comment", Type: text})
}

func customersTable() *schemas.Table {
	return table("customers", column("id", schemas.Int32), schemas.Column{Name: "region", Type: text}, schemas.Column{Name: "name", Type: text})
}
