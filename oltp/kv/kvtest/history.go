package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp/kv"
)

// Suite runs the conformance tests on an engine.
type Suite struct {
	// Open opens the engine in a folder, with settings so small that a few
	// hundred writes reach every structure.
	Open func(fsys vfs.FS, dir string) (kv.Engine, error)
}

const dir = "/db"

var ctx = context.Background()

// Run runs all tests as subtests.
func (s Suite) Run(t *testing.T) {
	t.Run("Edges", s.edges)
	t.Run("Histories", s.histories)
	t.Run("ManyVersions", s.manyVersions)
	t.Run("HeldIterator", s.heldIterator)
	t.Run("Concurrent", s.concurrent)
	t.Run("Crash", s.crash)
	t.Run("FailedSync", s.failedSync)
	t.Run("CrashAfterFailedSync", s.crashAfterFailedSync)
	t.Run("DiskFull", s.diskFull)
	t.Run("BitFlips", s.bitFlips)
	t.Run("ReadErrors", s.readErrors)
}

// rounds is n, fewer in short mode.
func rounds(n, short int) int {
	if testing.Short() {
		return short
	}
	return n
}

func (s Suite) open(t testing.TB, fsys vfs.FS) kv.Engine {
	t.Helper()
	e, err := s.Open(fsys, dir)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return e
}

// history is an engine driven by a seed beside the model.
type history struct {
	Suite
	t       testing.TB
	r       *rand.Rand
	fs      vfs.FS
	e       kv.Engine
	m       *Model
	horizon uint64
	keys    int
}

func (s Suite) newHistory(t testing.TB, fsys vfs.FS, seed uint64) *history {
	t.Helper()
	h := &history{Suite: s, t: t, r: rand.New(rand.NewPCG(seed, 1)), fs: fsys, e: s.open(t, fsys), m: NewModel()}
	h.keys = 5 + h.r.IntN(300)
	return h
}

func (s Suite) histories(t *testing.T) {
	for seed := range rounds(40, 8) {
		h := s.newHistory(t, vfstest.NewMem(), uint64(seed))
		for step := range 400 {
			if err := h.step(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
		if err := h.e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// step does one random thing and checks its outcome.
func (h *history) step() error {
	switch n := h.r.IntN(100); {
	case n < 60:
		return h.write()
	case n < 75:
		return compareGet(h.e, h.m, h.key(), h.lsn())
	case n < 80:
		return h.scan()
	case n < 85:
		return h.walk()
	case n < 88:
		return h.checkpoint()
	case n < 90:
		h.horizon = h.lsn()
		h.e.SetHorizon(h.horizon)
	case n < 92:
		return h.compact()
	case n < 94:
		return h.reopen()
	case n < 96:
		return h.e.Verify(ctx)
	case n < 98:
		return compare(h.e, h.m, h.lsn())
	}
	return nil
}

// lsn is any that may be asked for.
func (h *history) lsn() uint64 {
	if h.r.IntN(3) == 0 {
		return h.m.LSN()
	}
	return h.horizon + h.r.Uint64N(h.m.LSN()-h.horizon+1)
}

// key is one of a few shapes: shared prefixes, one key a prefix of the next,
// bytes at both ends of the range, empty.
func (h *history) key() []byte {
	i := h.r.IntN(h.keys)
	switch i % 8 {
	case 0:
		return bytes.Repeat([]byte{0xff}, i/8%5)
	case 1:
		return bytes.Repeat([]byte{0}, i/8%5)
	case 2:
		return append(bytes.Repeat([]byte("long"), 1+i/8%20), byte(i))
	default:
		return fmt.Appendf(nil, "table/%d/%06d", i%3, i)
	}
}

func (h *history) value() []byte {
	switch h.r.IntN(10) {
	case 0, 1, 2:
		return nil
	case 3:
		return []byte{}
	case 4:
		return bytes.Repeat([]byte{byte(h.r.Uint32())}, h.r.IntN(5000))
	}
	b := make([]byte, 1+h.r.IntN(60))
	for i := range b {
		b[i] = byte(h.r.Uint32())
	}
	return b
}

func (h *history) write() error {
	lsn := h.m.LSN() + 1 + h.r.Uint64N(50)
	ops := make([]kv.Op, h.r.IntN(12))
	for i := range ops {
		ops[i] = kv.Op{Key: h.key(), Value: h.value()}
	}
	err := h.apply(lsn, ops)
	for n := 0; errors.Is(err, vfstest.ErrInjected) && n < 100; n++ {
		// The engine refuses while its background work fails, and tries that again.
		time.Sleep(20 * time.Millisecond)
		err = h.apply(lsn, ops)
	}
	if err == nil {
		h.m.Apply(lsn, ops)
	}
	return err
}

func (h *history) apply(lsn uint64, ops []kv.Op) error {
	if a, ok := h.e.(kv.Admitter); ok {
		if err := a.Admit(ctx); err != nil {
			return fmt.Errorf("admit: %w", err)
		}
	}
	// The engine copies what it keeps: it gets memory that changes afterwards.
	lent := make([]kv.Op, len(ops))
	for i, op := range ops {
		lent[i] = kv.Op{Key: bytes.Clone(op.Key), Value: bytes.Clone(op.Value)}
	}
	if err := h.e.Apply(lsn, lent); err != nil {
		return fmt.Errorf("apply %d: %w", lsn, err)
	}
	for _, op := range lent {
		clear(op.Key)
		clear(op.Value)
	}
	return nil
}

func (h *history) bounds() (lower, upper []byte) {
	if h.r.IntN(3) > 0 {
		lower = h.key()
	}
	if h.r.IntN(3) > 0 {
		upper = h.key()
	}
	return lower, upper
}

func (h *history) scan() error {
	lower, upper := h.bounds()
	lsn, reverse := h.lsn(), h.r.IntN(2) == 0
	got, err := scan(h.e, lower, upper, lsn, reverse)
	if err != nil {
		return err
	}
	if err := same(got, h.m.Live(lower, upper, lsn)); err != nil {
		return fmt.Errorf("scan [%q, %q) at %d, reverse %v: %w", lower, upper, lsn, reverse, err)
	}
	return nil
}

// walk moves an iterator about at random beside a cursor in the model's pairs.
func (h *history) walk() error {
	lower, upper := h.bounds()
	lsn := h.lsn()
	it, err := h.e.Iterate(lower, upper, lsn)
	if err != nil {
		return err
	}
	defer it.Close()
	c := cursor{pairs: h.m.Live(lower, upper, lsn), i: -1}
	for range 30 {
		name, ok, want := h.move(it, &c)
		if ok != want {
			return fmt.Errorf("walk [%q, %q) at %d: %s gave %v, want %v (%w)", lower, upper, lsn, name, ok, want, it.Err())
		}
		if ok {
			if err := same([]Pair{{it.Key(), it.Value()}}, c.pairs[c.i:c.i+1]); err != nil {
				return fmt.Errorf("walk [%q, %q) at %d: %s: %w", lower, upper, lsn, name, err)
			}
		}
	}
	return it.Err()
}

func (h *history) move(it kv.Iterator, c *cursor) (name string, got, want bool) {
	switch key := h.key(); h.r.IntN(8) {
	case 0:
		return "First", it.First(), c.to(0)
	case 1:
		return "Last", it.Last(), c.to(len(c.pairs) - 1)
	case 2:
		return fmt.Sprintf("SeekGE %q", key), it.SeekGE(key), c.to(c.search(key))
	case 3:
		return fmt.Sprintf("SeekLT %q", key), it.SeekLT(key), c.to(c.search(key) - 1)
	case 4, 5:
		return "Next", it.Next(), c.to(c.i + 1)
	default:
		return "Prev", it.Prev(), c.to(c.i - 1)
	}
}

// cursor is a place in sorted pairs, -1 before the first.
type cursor struct {
	pairs []Pair
	i     int
}

func (c *cursor) to(i int) bool {
	c.i = max(-1, min(i, len(c.pairs)))
	return c.i >= 0 && c.i < len(c.pairs)
}

func (c *cursor) search(key []byte) int {
	for i, p := range c.pairs {
		if bytes.Compare(p.Key, key) >= 0 {
			return i
		}
	}
	return len(c.pairs)
}

func (h *history) checkpoint() error {
	lsn, err := h.e.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if lsn != h.m.LSN() || h.e.DurableLSN() != lsn {
		return fmt.Errorf("checkpoint reaches %d, DurableLSN is %d, applied is %d", lsn, h.e.DurableLSN(), h.m.LSN())
	}
	return nil
}

// compact asks engines that can to compact now.
func (h *history) compact() error {
	if c, ok := h.e.(interface{ Compact() error }); ok {
		return c.Compact()
	}
	return nil
}

func (h *history) reopen() error {
	durable := h.e.DurableLSN()
	if err := h.e.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	h.e = h.open(h.t, h.fs)
	if got := h.e.DurableLSN(); got < durable || got > h.m.LSN() {
		return fmt.Errorf("durable LSN was %d before reopening, is %d", durable, got)
	}
	// What is durable must be readable before the replay.
	if got := h.e.DurableLSN(); got >= h.horizon {
		if err := compare(h.e, h.m, got); err != nil {
			return fmt.Errorf("reopened at %d: %w", got, err)
		}
	}
	if err := replay(h.e, h.m); err != nil {
		return err
	}
	h.e.SetHorizon(h.horizon)
	return nil
}
