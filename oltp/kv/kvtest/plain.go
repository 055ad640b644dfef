package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp/kv"
)

func ops(pairs ...string) (list []kv.Op) {
	for i := 0; i < len(pairs); i += 2 {
		op := kv.Op{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])}
		if pairs[i+1] == "-" {
			op.Value = nil
		}
		list = append(list, op)
	}
	return list
}

func (s Suite) edges(t *testing.T) {
	fsys := vfstest.NewMem()
	e := s.open(t, fsys)
	m := NewModel()
	apply := func(lsn uint64, list []kv.Op) {
		t.Helper()
		if err := e.Apply(lsn, list); err != nil {
			t.Fatal(err)
		}
		m.Apply(lsn, list)
	}
	if _, err := e.Get(nil, []byte("x"), 0); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("empty engine: %v", err)
	}
	if lsn, err := e.Checkpoint(ctx); lsn != 0 || err != nil {
		t.Fatalf("checkpoint of an empty engine: %d, %v", lsn, err)
	}
	apply(10, ops("", "empty key", "a", "", "b", "-", "c", "first", "c", "last"))
	apply(11, ops("c", "-", "d", "gone", "d", "-"))
	apply(1<<40, ops("", "-", "e", string(bytes.Repeat([]byte("large"), 40_000))))
	apply(1<<40+1, nil)
	for _, lsn := range []uint64{0, 9, 10, 11, 12, 1 << 40, 1 << 62} {
		if err := compare(e, m, lsn); err != nil {
			t.Error(err)
		}
	}
	if err := e.Apply(1<<40, ops("x", "y")); err == nil {
		t.Error("an LSN that is not greater was accepted")
	}
	if lsn, err := e.Checkpoint(ctx); lsn != 1<<40+1 || err != nil {
		t.Fatalf("checkpoint gave %d, %v", lsn, err)
	}
	if err := e.Verify(ctx); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	e = s.open(t, fsys.CrashClone(0, 0))
	defer e.Close()
	for _, lsn := range []uint64{10, 11, 1 << 40, 1 << 62} {
		if err := compare(e, m, lsn); err != nil {
			t.Errorf("reopened: %v", err)
		}
	}
	e.SetHorizon(11)
	if _, err := e.Get(nil, []byte("c"), 10); !errors.Is(err, kv.ErrSnapshotGone) {
		t.Errorf("get below the horizon: %v", err)
	}
	if _, err := e.Iterate(nil, nil, 10); !errors.Is(err, kv.ErrSnapshotGone) {
		t.Errorf("iterate below the horizon: %v", err)
	}
}

// manyVersions updates a few keys so often that stepping over the versions would
// take for ever, with and without a checkpoint in between.
func (s Suite) manyVersions(t *testing.T) {
	e := s.open(t, vfstest.NewMem())
	defer e.Close()
	m := NewModel()
	for lsn := uint64(1); lsn <= 3000; lsn++ {
		value := fmt.Sprint("value ", lsn)
		if lsn%7 == 0 {
			value = "-"
		}
		list := ops("m", value, fmt.Sprintf("k%d", lsn%5), value)
		if err := e.Apply(lsn, list); err != nil {
			t.Fatal(err)
		}
		m.Apply(lsn, list)
		if lsn == 1500 {
			if _, err := e.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for lsn := uint64(1); lsn <= 3000; lsn += 97 {
		if err := compare(e, m, lsn); err != nil {
			t.Fatal(err)
		}
	}
	e.SetHorizon(2990)
	if _, err := e.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	for lsn := uint64(2990); lsn <= 3000; lsn++ {
		if err := compare(e, m, lsn); err != nil {
			t.Fatal(err)
		}
	}
}

// heldIterator keeps iterators open while everything beneath them changes.
func (s Suite) heldIterator(t *testing.T) {
	h := s.newHistory(t, vfstest.NewMem(), 99)
	type held struct {
		it   kv.Iterator
		want []Pair
	}
	var all []held
	for range 8 {
		for range 60 {
			if err := h.write(); err != nil {
				t.Fatal(err)
			}
		}
		it, err := h.e.Iterate(nil, nil, h.m.LSN())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, held{it, h.m.Live(nil, nil, h.m.LSN())})
		if err := errors.Join(h.checkpoint(), h.compact()); err != nil {
			t.Fatal(err)
		}
	}
	for i, x := range all {
		for _, reverse := range []bool{i%2 == 0, i%2 == 1} {
			if err := errors.Join(same(drain(x.it, reverse), x.want), x.it.Err()); err != nil {
				t.Errorf("iterator %d, reverse %v: %v", i, reverse, err)
			}
		}
	}
	if err := h.e.Close(); err != nil { // with iterators still open
		t.Fatal(err)
	}
	for _, x := range all {
		if err := x.it.Close(); err != nil {
			t.Error(err)
		}
	}
}

// concurrent writes the same number to all keys in each batch: a reader at any
// applied LSN must find one number only, the right one.
func (s Suite) concurrent(t *testing.T) {
	e := s.open(t, vfstest.NewMem())
	defer e.Close()
	const keys = 20
	var applied, horizon atomic.Uint64
	var wg sync.WaitGroup
	last := uint64(rounds(4000, 800))
	check := func(lsn uint64) error {
		want := fmt.Sprintf("%08d", lsn)
		got, err := scan(e, nil, nil, lsn, lsn%2 == 0)
		if err != nil {
			return err
		}
		if len(got) != keys {
			return fmt.Errorf("at %d: %d keys, want %d", lsn, len(got), keys)
		}
		for _, p := range got {
			if string(p.Value) != want {
				return fmt.Errorf("at %d: %s", lsn, show(p))
			}
		}
		return nil
	}
	for range 2 {
		wg.Go(func() {
			for lsn := uint64(0); lsn < last; {
				if lsn = applied.Load(); lsn == 0 {
					continue
				}
				if err := check(lsn); err != nil && !errors.Is(err, kv.ErrSnapshotGone) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for applied.Load() < last {
			if _, err := e.Checkpoint(ctx); err != nil {
				t.Error(err)
				return
			}
			// Readers are never this far behind.
			if lsn := applied.Load(); lsn > 500 {
				horizon.Store(lsn - 500)
				e.SetHorizon(lsn - 500)
			}
		}
	})
	for lsn := uint64(1); lsn <= last; lsn++ {
		var list []kv.Op
		for k := range keys {
			list = append(list, kv.Op{Key: fmt.Appendf(nil, "key%02d", k), Value: fmt.Appendf(nil, "%08d", lsn)})
		}
		if err := e.Apply(lsn, list); err != nil {
			t.Fatal(err)
		}
		applied.Store(lsn)
	}
	wg.Wait()
}
