package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/oltp/kv"
)

// scan walks all pairs with keys in [lower, upper), backwards if told.
func scan(e kv.Engine, lower, upper []byte, lsn uint64, reverse bool) (pairs []Pair, err error) {
	it, err := e.Iterate(lower, upper, lsn)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	return drain(it, reverse), it.Err()
}

func drain(it kv.Iterator, reverse bool) []Pair {
	pairs := []Pair{}
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		pairs = append(pairs, Pair{bytes.Clone(it.Key()), append([]byte{}, it.Value()...)})
	}
	if reverse {
		slices.Reverse(pairs)
	}
	return pairs
}

func same(got, want []Pair) error {
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
			return fmt.Errorf("pair %d is %s, want %s", i, show(got[i]), show(want[i]))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d pairs, want %d", len(got), len(want))
	}
	return nil
}

func show(p Pair) string { return fmt.Sprintf("%.40q = %.40q", p.Key, p.Value) }

// wrongAnswer marks an answer that differs from the model without an error.
type wrongAnswer struct{ error }

// compare checks every key and both directions of a whole scan at an LSN. The
// error is a wrongAnswer if the engine answered, else the engine's.
func compare(e kv.Engine, m *Model, lsn uint64) error {
	want := m.Live(nil, nil, lsn)
	for _, reverse := range []bool{false, true} {
		got, err := scan(e, nil, nil, lsn, reverse)
		if err != nil {
			return err
		}
		if err := same(got, want); err != nil {
			return wrongAnswer{fmt.Errorf("scan at %d, reverse %v: %w", lsn, reverse, err)}
		}
	}
	for k := range m.keys {
		if err := compareGet(e, m, []byte(k), lsn); err != nil {
			return err
		}
	}
	return nil
}

func compareGet(e kv.Engine, m *Model, key []byte, lsn uint64) error {
	got, err := e.Get([]byte("dst"), key, lsn)
	want, ok := m.Get(key, lsn)
	switch {
	case errors.Is(err, kv.ErrNotFound) && !ok:
		return nil
	case errors.Is(err, kv.ErrNotFound):
		return wrongAnswer{fmt.Errorf("get %.40q at %d: not found, want %.40q", key, lsn, want)}
	case err != nil:
		return err
	case !ok:
		return wrongAnswer{fmt.Errorf("get %.40q at %d: %.40q, want not found", key, lsn, got)}
	case !bytes.Equal(got, append([]byte("dst"), want...)):
		return wrongAnswer{fmt.Errorf("get %.40q at %d: %.40q, want dst%.40q", key, lsn, got, want)}
	}
	return nil
}

// replay applies what the log has after the engine's durable LSN.
func replay(e kv.Engine, m *Model) error {
	for _, b := range m.After(e.DurableLSN()) {
		if err := e.Apply(b.LSN, b.Ops); err != nil {
			return fmt.Errorf("replay %d: %w", b.LSN, err)
		}
	}
	return nil
}
