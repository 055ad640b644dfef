package lsm

import (
	"bytes"
	"context"
	"runtime"
)

// source walks versions in order; memtables, tables, levels and the merge of
// them are sources. After false from a move, Err tells an end from a failure.
// Key holds until the next move, a value as long as the state it came from.
type source interface {
	First() bool
	Last() bool
	SeekGE(key []byte, lsn uint64) bool
	SeekLT(key []byte, lsn uint64) bool
	Next() bool
	Prev() bool
	Key() []byte
	LSN() uint64
	Value() (value []byte, live bool)
	Err() error
}

// keepRules say which versions are written on. Of a key, every version above the
// horizon is kept and the newest at or below it; older ones no reader can see.
type keepRules struct {
	horizon uint64
	// keepTombstones keeps a tombstone at or below the horizon, because an older
	// version of the key may lie deeper. below, if set, decides by key.
	keepTombstones bool
	below          func(key []byte) bool
}

// yieldEvery is how many versions background work copies, about 100 µs, before it
// lets others run.
const yieldEvery = 128

// tableSplit says when the next table begins; never within a key.
type tableSplit struct{ bytes int64 }

// rewriter copies a source into tables.
type rewriter struct {
	e       *Engine
	split   tableSplit
	keep    keepRules
	w       *tableWriter
	tables  []*table
	key     []byte
	settled bool // a version at or below the horizon was seen of key
	any     bool
}

// writeTables writes a source's versions into new tables. On an error nothing is
// left open and no file stays.
func (e *Engine) writeTables(src source, split tableSplit, keep keepRules) ([]*table, error) {
	r := &rewriter{e: e, split: split, keep: keep}
	err := r.run(e.ctx, src)
	if err == nil && r.w != nil {
		err = r.finishTable()
	}
	if err == nil {
		return r.tables, nil
	}
	if r.w != nil {
		e.abandon(r.w)
	}
	e.discard(r.tables)
	return nil, err
}

func (r *rewriter) run(ctx context.Context, src source) error {
	n := 0
	for ok := src.First(); ok; ok = src.Next() {
		if n++; n%yieldEvery == 0 {
			// Without this a busy core makes readers wait for the scheduler's 10 ms.
			runtime.Gosched()
			if ctx.Err() != nil {
				return errClosed
			}
		}
		if err := r.add(src); err != nil {
			return err
		}
	}
	return src.Err()
}

func (r *rewriter) add(src source) error {
	key := src.Key()
	if !r.any || !bytes.Equal(key, r.key) {
		r.any, r.settled = true, false
		r.key = append(r.key[:0], key...)
		if err := r.maybeSplit(); err != nil {
			return err
		}
	}
	value, live := src.Value()
	if r.drops(src.LSN(), live) {
		r.e.stats.dropped.Add(1)
		return nil
	}
	if r.w == nil {
		w, err := r.e.newWriter()
		if err != nil {
			return err
		}
		r.w = w
	}
	return r.w.Add(key, src.LSN(), value, live)
}

// drops decides about a version of r.key, newest first.
func (r *rewriter) drops(lsn uint64, live bool) bool {
	if lsn > r.keep.horizon {
		return false
	}
	if r.settled {
		return true
	}
	r.settled = true
	if live || r.keep.keepTombstones {
		return false
	}
	return r.keep.below == nil || !r.keep.below(r.key)
}

func (r *rewriter) maybeSplit() error {
	if r.w == nil || r.split.bytes == 0 || r.w.Bytes() < r.split.bytes {
		return nil
	}
	return r.finishTable()
}

func (r *rewriter) finishTable() error {
	w := r.w
	r.w = nil
	t, err := r.e.finish(w)
	if err != nil {
		r.e.abandon(w)
		return err
	}
	r.tables = append(r.tables, t)
	return nil
}
