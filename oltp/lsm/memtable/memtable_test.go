package memtable

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/oltp/lsm/ikey"
)

type version struct {
	key   string
	lsn   uint64
	value string
	live  bool
}

func TestAgainstSortedSlice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := New(1 << 20)
	model := map[string]version{}
	for lsn := uint64(1); lsn < 3000; lsn++ {
		v := version{key: fmt.Sprintf("k%d", r.IntN(300)), lsn: lsn, value: fmt.Sprint("v", lsn), live: r.IntN(4) > 0}
		for range 1 + r.IntN(2) { // sometimes the same version again
			value := []byte(v.value)
			if !v.live {
				value, v.value = nil, ""
			}
			m.Add([]byte(v.key), lsn, value)
		}
		model[fmt.Sprint(v.key, "/", lsn)] = v
	}
	var all []version
	for _, v := range model {
		all = append(all, v)
	}
	sort.Slice(all, func(i, j int) bool {
		return ikey.Compare([]byte(all[i].key), all[i].lsn, []byte(all[j].key), all[j].lsn) < 0
	})
	require.Equal(t, len(all), m.Len())
	var it Iter
	it.Init(m)
	at := func() version {
		value, live := it.Value()
		return version{key: string(it.Key()), lsn: it.LSN(), value: string(value), live: live}
	}
	i := 0
	for ok := it.First(); ok; ok = it.Next() {
		require.Equal(t, all[i], at())
		i++
	}
	require.Equal(t, len(all), i)
	for ok := it.Last(); ok; ok = it.Prev() {
		i--
		require.Equal(t, all[i], at())
	}
	require.Equal(t, 0, i)
	for range 2000 {
		key, lsn := fmt.Sprintf("k%d", r.IntN(320)), r.Uint64N(3100)
		i := sort.Search(len(all), func(i int) bool {
			return ikey.Compare([]byte(all[i].key), all[i].lsn, []byte(key), lsn) >= 0
		})
		require.Equal(t, i < len(all), it.SeekGE([]byte(key), lsn))
		if i < len(all) {
			require.Equal(t, all[i], at())
		}
		require.Equal(t, i > 0, it.SeekLT([]byte(key), lsn))
		if i > 0 {
			require.Equal(t, all[i-1], at())
		}
		value, live, found := m.Get([]byte(key), lsn)
		want := i < len(all) && all[i].key == key
		require.Equal(t, want, found)
		if want {
			require.Equal(t, all[i], version{key, all[i].lsn, string(value), live})
		}
	}
}

// TestReadersBesideTheWriter is for the race detector; order must hold throughout.
func TestReadersBesideTheWriter(t *testing.T) {
	m := New(1 << 22)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			var it Iter
			it.Init(m)
			for {
				select {
				case <-stop:
					return
				default:
				}
				var key []byte
				var lsn uint64
				for ok := it.First(); ok; ok = it.Next() {
					if key != nil && ikey.Compare(key, lsn, it.Key(), it.LSN()) >= 0 {
						t.Error("out of order")
						return
					}
					key, lsn = it.Key(), it.LSN()
					it.Value()
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for lsn := uint64(1); lsn < 10000; lsn++ {
		m.Add(fmt.Appendf(nil, "k%d", r.IntN(1000)), lsn, []byte("value"))
	}
	close(stop)
	wg.Wait()
}
