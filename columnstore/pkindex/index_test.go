package pkindex

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestModel runs random operations beside a map. Hashes are made to collide.
func TestModel(t *testing.T) {
	rounds := 300_000
	if testing.Short() {
		rounds = 60_000
	}
	for _, bits := range []uint64{6, 16, 40} {
		rng := rand.New(rand.NewPCG(bits, 1))
		x, model := New(), map[uint64]Ref{}
		keys := map[Ref]uint64{}
		hash := func(key uint64) uint64 { return (key * 0x9E3779B97F4A7C15) >> (64 - bits) << (64 - bits) }
		next := Ref(0)
		for range rounds {
			key := rng.Uint64N(5000)
			match := func(r Ref) (bool, error) { return keys[r] == key, nil }
			old, had := model[key]
			switch rng.IntN(4) {
			case 0, 1:
				next++
				keys[next] = key
				got, replaced, err := x.Put(hash(key), next, match)
				require.NoError(t, err)
				require.Equal(t, had, replaced)
				if had {
					require.Equal(t, old, got)
				}
				model[key] = next
			case 2:
				got, found, err := x.Delete(hash(key), match)
				require.NoError(t, err)
				require.Equal(t, had, found)
				if had {
					require.Equal(t, old, got)
				}
				delete(model, key)
			case 3:
				got, found, err := x.Find(hash(key), match)
				require.NoError(t, err)
				require.Equal(t, had, found)
				if had {
					require.Equal(t, old, got)
					next++
					keys[next] = key
					require.True(t, x.Move(hash(key), old, next))
					require.False(t, x.Move(hash(key), old, next))
					model[key] = next
				}
			}
			require.Equal(t, len(model), x.Len())
		}
	}
}

func BenchmarkPut(b *testing.B) {
	x := New()
	match := func(Ref) (bool, error) { return true, nil }
	for i := range b.N {
		h := uint64(i%1_000_000) * 0x9E3779B97F4A7C15
		_, _, _ = x.Put(h^h>>29, MakeRef(uint32(i>>16&0xFF), i&0xFFFF), match)
	}
}
