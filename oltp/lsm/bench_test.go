package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/oltp/kv"
)

const (
	benchKeys  = 200_000
	benchValue = 100
)

func benchKey(dst []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(append(dst[:0], "orders/0"...), uint64(i))
}

// benchEngine has every key once, in tables.
func benchEngine(b *testing.B, opts Options) *Engine {
	b.Helper()
	e, err := Open(b.TempDir(), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	r := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, benchValue)
	ops := make([]kv.Op, 100)
	for i := 0; i < benchKeys; i += len(ops) {
		for j := range ops {
			for k := range value {
				value[k] = byte(r.Uint32())
			}
			ops[j] = kv.Op{Key: benchKey(nil, i+j), Value: append([]byte(nil), value...)}
		}
		if err := e.Apply(uint64(i+1), ops); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := e.Checkpoint(ctx); err != nil {
		b.Fatal(err)
	}
	if err := e.Compact(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	return e
}

func BenchmarkPut(b *testing.B) {
	for _, order := range []string{"random", "ascending"} {
		b.Run(order, func(b *testing.B) {
			e, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			r := rand.New(rand.NewPCG(1, 1))
			value := make([]byte, benchValue)
			var key []byte
			ops := make([]kv.Op, 1)
			b.ReportAllocs()
			lsn := uint64(0)
			for b.Loop() {
				lsn++
				n := int(lsn)
				if order == "random" {
					n = r.IntN(10 * benchKeys)
				}
				key = benchKey(key, n)
				ops[0] = kv.Op{Key: key, Value: value}
				if err := e.Apply(lsn, ops); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			st := e.Stats()
			b.ReportMetric(st.StallSeconds/b.Elapsed().Seconds(), "stalled")
			b.ReportMetric(float64(st.WrittenBytes)/float64(st.UserBytes), "written/user")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, shape := range []struct {
		name  string
		cache int
	}{{"cached", 64 << 20}, {"uncached", 1 << 20}} {
		b.Run(shape.name, func(b *testing.B) {
			e := benchEngine(b, Options{CacheBytes: shape.cache})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := rand.New(rand.NewPCG(rand.Uint64(), 1))
				var key, dst []byte
				for pb.Next() {
					key = benchKey(key, r.IntN(benchKeys))
					var err error
					if dst, err = e.Get(dst[:0], key, 1<<40); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	b.Run("absent", func(b *testing.B) {
		e := benchEngine(b, Options{})
		b.ReportAllocs()
		var key []byte
		for i := 0; b.Loop(); i++ {
			key = append(benchKey(key, i%benchKeys), 'x')
			if _, err := e.Get(nil, key, 1<<40); !errors.Is(err, kv.ErrNotFound) {
				b.Fatal(err)
			}
		}
	})
	b.Run("memtable", func(b *testing.B) {
		e, err := Open(b.TempDir(), Options{MemtableBytes: 64 << 20})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		for i := range benchKeys {
			if err := e.Apply(uint64(i+1), []kv.Op{{Key: benchKey(nil, i), Value: make([]byte, benchValue)}}); err != nil {
				b.Fatal(err)
			}
		}
		r := rand.New(rand.NewPCG(1, 1))
		b.ReportAllocs()
		var key, dst []byte
		for b.Loop() {
			key = benchKey(key, r.IntN(benchKeys))
			if dst, err = e.Get(dst[:0], key, 1<<40); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkScan reads 50 keys from a random place, on a fresh load and after a
// burst of updates to a hundredth of the keys.
func BenchmarkScan(b *testing.B) {
	for _, hot := range []bool{false, true} {
		b.Run(fmt.Sprintf("hot=%v", hot), func(b *testing.B) {
			e := benchEngine(b, Options{})
			if hot {
				r := rand.New(rand.NewPCG(2, 2))
				value := make([]byte, benchValue)
				for i := range 200_000 {
					lsn := uint64(benchKeys + i + 1)
					if err := e.Apply(lsn, []kv.Op{{Key: benchKey(nil, r.IntN(benchKeys/100)*100), Value: value}}); err != nil {
						b.Fatal(err)
					}
					e.SetHorizon(lsn)
				}
				b.ResetTimer()
			}
			r := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			var key []byte
			for b.Loop() {
				key = benchKey(key, r.IntN(benchKeys-50))
				it, err := e.Iterate(key, nil, 1<<40)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for ok := it.First(); ok && n < 50; ok = it.Next() {
					n++
				}
				if n != 50 || it.Err() != nil {
					b.Fatal(n, it.Err())
				}
				it.Close()
			}
		})
	}
}
