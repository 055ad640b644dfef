package arrowipc_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/arrowipc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// wideTable has a column of every type.
func wideTable() *schemas.Table {
	t := &schemas.Table{Schema: "p", Name: "w", Version: 1}
	for i, ty := range allTypes {
		t.Columns = append(t.Columns, schemas.Column{ID: uint32(i + 1), Name: ty.String() + string(rune('a'+i)), Type: ty})
	}
	return t
}

// hostile decodes bytes that may be anything and touches all that came out.
func hostile(t *testing.T, data []byte, tab *schemas.Table) {
	b, err := arrowipc.Decode(data, func(string, uint32) (*schemas.Table, error) { return tab, nil })
	if err != nil {
		if schemas.CodeOf(err) != schemas.CodeCorrupt {
			t.Fatalf("error %v has code %s", err, schemas.CodeOf(err))
		}
		return
	}
	for i := range b.Len() {
		b.Row(i)
		for c := range b.Cols {
			b.IsAbsent(c, i)
		}
	}
	arrowipc.AppendBatch(nil, b)
}

func sample(tab *schemas.Table, rows int, seed int) *change.Batch {
	return rapid.Custom(func(t *rapid.T) *change.Batch {
		b := change.New(tab, rows)
		for i := range rows {
			row := make(schemas.Row, len(tab.Columns))
			for c := range row {
				row[c] = drawValue(t, tab.Columns[c].Type)
			}
			b.Append(change.Update, schemas.LSN(i*100), uint32(i), row, nil)
		}
		return b
	}).Example(seed)
}

// A frame with any of its bytes changed, cut or doubled never panics.
func TestCorruptFrames(t *testing.T) {
	tab := wideTable()
	r := rand.New(rand.NewPCG(1, 2))
	rounds := 40000
	if testing.Short() {
		rounds = 8000
	}
	data := arrowipc.AppendBatch(nil, sample(tab, 13, 1))
	for i := range len(data) {
		hostile(t, data[:i], tab)
	}
	for range rounds {
		bad := append([]byte(nil), data...)
		for range 1 + r.IntN(3) {
			at := r.IntN(len(bad))
			switch r.IntN(3) {
			case 0:
				bad[at] = byte(r.Uint32())
			case 1:
				bad[at] ^= 1 << r.IntN(8)
			default:
				bad[at] = []byte{0, 1, 0x7F, 0x80, 0xFF}[r.IntN(5)]
			}
		}
		hostile(t, bad, tab)
	}
}

func FuzzDecode(f *testing.F) {
	tab := wideTable()
	f.Add(arrowipc.AppendBatch(nil, sample(tab, 3, 1)))
	f.Fuzz(func(t *testing.T, data []byte) { hostile(t, data, tab) })
}
