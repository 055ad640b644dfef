package transform

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// BenchmarkStage reports the time of a change in batches of 1000.
func BenchmarkStage(b *testing.B) {
	for _, c := range []struct {
		name, list, where string
		key               []string
	}{
		{"pass", "*", "", []string{"id", "line"}},
		{"compute", "id, line, qty * price AS total, upper(status) AS s", "", []string{"id", "line"}},
		{"filter", "id, line, status, price", "status IN ('paid', 'shipped')", []string{"id", "line"}},
		{"rekey", "id, line, shop, price", "", []string{"shop", "id", "line"}},
		{"mask", "id, line, encode(sha256(convert_to(lower(coalesce(note, '')), 'UTF8')), 'hex') AS h", "", []string{"id", "line"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := plan(b, items, c.list, c.where, c.key...)
			src := &source{rng: rand.New(rand.NewPCG(1, 7)), rows: map[string]schemas.Row{}, before: p.NeedsBefore}
			in := src.batch(1000)
			s, err := NewStage(p)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Apply(in, change.New(p.Output, in.Len())); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*in.Len()), "ns/change")
		})
	}
}
