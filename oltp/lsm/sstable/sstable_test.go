package sstable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/ikey"
)

type sample struct {
	key   []byte
	lsn   uint64
	value []byte
	live  bool
}

// versions makes n sorted ones of few keys, with many versions, shared prefixes,
// empty keys, empty and large values.
func versions(r *rand.Rand, n int) []sample {
	seen := map[string]bool{}
	var all []sample
	for len(all) < n {
		v := sample{lsn: 1 + r.Uint64N(1<<r.IntN(63)), live: r.IntN(5) > 0}
		switch k := r.IntN(1 + n/3); k % 4 {
		case 0:
			v.key = bytes.Repeat([]byte{byte(k)}, k%9)
		default:
			v.key = fmt.Appendf(nil, "common prefix/%d", k)
		}
		if id := fmt.Sprintf("%q/%d", v.key, v.lsn); seen[id] {
			continue
		} else {
			seen[id] = true
		}
		if v.live {
			v.value = bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(60)*r.IntN(2)+r.IntN(20)/19*3000)
		}
		all = append(all, v)
	}
	sort.Slice(all, func(i, j int) bool { return ikey.Compare(all[i].key, all[i].lsn, all[j].key, all[j].lsn) < 0 })
	return all
}

func write(t testing.TB, fsys vfs.FS, all []sample, opts WriterOptions) {
	t.Helper()
	f, err := fsys.Create("/t")
	require.NoError(t, err)
	w := NewWriter(f, 5, opts)
	for _, v := range all {
		require.NoError(t, w.Add(v.key, v.lsn, v.value, v.live))
	}
	_, size, err := w.Finish()
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	require.Equal(t, info.Size(), size)
	require.NoError(t, f.Close())
	require.NoError(t, fsys.SyncDir("/"))
}

func open(fsys vfs.FS, id uint64) (*Reader, error) {
	f, err := fsys.Open("/t")
	if err != nil {
		return nil, err
	}
	return Open(f, id, NewCache(1<<20))
}

func TestAgainstSortedSlice(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := versions(r, 1+r.IntN(600))
		fsys := vfstest.NewMem()
		write(t, fsys, all, WriterOptions{BlockBytes: 64 << r.IntN(8), Plain: seed%2 == 0})
		rd, err := open(fsys, 5)
		require.NoError(t, err)
		require.NoError(t, rd.Verify(context.Background()))
		require.Equal(t, int64(len(all)), rd.Properties().Entries)
		checkIter(t, r, rd, all)
		checkGets(t, r, rd, all)
		require.NoError(t, rd.Close())
	}
}

func checkIter(t *testing.T, r *rand.Rand, rd *Reader, all []sample) {
	var it Iter
	it.Init(rd, true)
	at := func(i int) {
		t.Helper()
		v := all[i]
		value, live := it.Value()
		require.True(t, bytes.Equal(v.key, it.Key()) && v.lsn == it.LSN() && live == v.live && bytes.Equal(v.value, value))
	}
	i := 0
	for ok := it.First(); ok; ok = it.Next() {
		at(i)
		i++
	}
	require.Equal(t, len(all), i)
	for ok := it.Last(); ok; ok = it.Prev() {
		i--
		at(i)
	}
	require.Zero(t, i)
	for range 300 {
		v := all[r.IntN(len(all))]
		key, lsn := bytes.Clone(v.key), v.lsn+r.Uint64N(3)-1
		if r.IntN(3) == 0 {
			key = append(key, byte(r.Uint32()))
		}
		i := sort.Search(len(all), func(i int) bool { return ikey.Compare(all[i].key, all[i].lsn, key, lsn) >= 0 })
		require.Equal(t, i < len(all), it.SeekGE(key, lsn))
		if i < len(all) {
			at(i)
			if r.IntN(2) == 0 {
				require.Equal(t, i > 0, it.Prev())
			}
		}
		require.Equal(t, i > 0, it.SeekLT(key, lsn))
		if i > 0 {
			at(i - 1)
			require.Equal(t, i < len(all), it.Next())
			if i < len(all) {
				at(i)
			}
		}
	}
	require.NoError(t, it.Err())
}

func checkGets(t *testing.T, r *rand.Rand, rd *Reader, all []sample) {
	var s Scratch
	for range 300 {
		v := all[r.IntN(len(all))]
		lsn := v.lsn + r.Uint64N(3) - 1
		i := sort.Search(len(all), func(i int) bool { return ikey.Compare(all[i].key, all[i].lsn, v.key, lsn) >= 0 })
		want := i < len(all) && bytes.Equal(all[i].key, v.key)
		value, live, found, err := rd.Get(v.key, lsn, &s)
		require.NoError(t, err)
		require.Equal(t, want, found)
		if found {
			require.Equal(t, all[i].live, live)
			require.True(t, bytes.Equal(all[i].value, value))
		}
		require.True(t, rd.MayContain(Hash(v.key)))
	}
}

// TestEveryBitIsCovered inverts each bit of a table: opening or verifying fails.
func TestEveryBitIsCovered(t *testing.T) {
	fsys := vfstest.NewMem()
	write(t, fsys, versions(rand.New(rand.NewPCG(1, 1)), 40), WriterOptions{BlockBytes: 256})
	info, err := fsys.Stat("/t")
	require.NoError(t, err)
	for at := range info.Size() * 8 {
		clone := fsys.CrashClone(0, 0)
		require.NoError(t, clone.Flip("/t", at/8, uint(at%8)))
		rd, err := open(clone, 5)
		if err == nil {
			err = rd.Verify(context.Background())
			rd.Close()
		}
		require.Error(t, err, "bit %d", at)
	}
	for size := range info.Size() {
		clone := fsys.CrashClone(0, 0)
		require.NoError(t, clone.Cut("/t", size))
		_, err := open(clone, 5)
		require.ErrorIs(t, err, kv.ErrCorrupt, "cut at %d", size)
	}
	_, err = open(fsys, 6)
	require.ErrorIs(t, err, kv.ErrCorrupt, "another table's id")
}

func TestFilterLetsFewPass(t *testing.T) {
	var hashes []uint64
	for i := range 20_000 {
		hashes = append(hashes, hashKey(fmt.Appendf(nil, "key%d", i)))
	}
	f := buildFilter(hashes)
	for _, h := range hashes {
		require.True(t, mayContain(f, h))
	}
	passed := 0
	for i := range 100_000 {
		if mayContain(f, hashKey(fmt.Appendf(nil, "absent%d", i))) {
			passed++
		}
	}
	require.Less(t, passed, 2000, "of 100,000")
}

func TestCacheKeepsItsBudget(t *testing.T) {
	c := NewCache(cacheShards * 10_000)
	for i := range uint64(5000) {
		c.put(cacheKey{1, i}, make([]byte, 500))
		if i%2 == 0 {
			require.NotNil(t, c.get(cacheKey{1, i}))
		}
	}
	require.LessOrEqual(t, c.Bytes(), int64(cacheShards*10_000))
	require.Greater(t, c.Bytes(), int64(cacheShards*8_000))
	c.put(cacheKey{2, 1}, make([]byte, 20_000)) // larger than a shard
	require.Nil(t, c.get(cacheKey{2, 1}))
	require.Equal(t, int64(2500), c.Hits())
	require.Equal(t, int64(1), c.Misses())
}

// FuzzBlock walks and seeks in arbitrary bytes: an error or entries, no panic.
func FuzzBlock(f *testing.F) {
	var b blockBuilder
	for i := range uint64(40) {
		b.add(ikey.Append(nil, fmt.Appendf(nil, "key%03d", i/3), 100-i), []byte("value"), i%4 != 0)
	}
	f.Add(b.finish(), []byte("key005"), uint64(80))
	f.Fuzz(func(t *testing.T, content, key []byte, lsn uint64) {
		var it blockIter
		if it.init(content) != nil {
			return
		}
		forward := 0
		for ok := it.first(); ok; ok = it.forward() {
			forward++
		}
		if it.err != nil && !errors.Is(it.err, kv.ErrCorrupt) {
			t.Error(it.err)
		}
		it.err = nil
		for ok := it.last(); ok && forward >= 0; ok = it.back() {
			forward--
		}
		it.err = nil
		if it.seekGE(key, lsn) && ikey.Compare(it.userKey(), it.lsn(), key, lsn) < 0 {
			t.Error("seekGE is before")
		}
		it.err = nil
		if it.seekLT(key, lsn) && it.err == nil {
			it.userKey()
		}
	})
}
