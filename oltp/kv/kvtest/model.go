// Package kvtest is the conformance suite of storage engines, with a naive
// ordered multi-version map as the oracle.
package kvtest

import (
	"bytes"
	"sort"

	"github.com/millrace/millrace/oltp/kv"
)

// Model is the oracle: every version ever applied, in order of LSN, which is
// also the commit log that an engine's recovery is replayed from.
type Model struct {
	keys map[string][]version // by LSN
	log  []Batch
}

type version struct {
	lsn   uint64
	value []byte
	live  bool
}

// Batch is one Apply.
type Batch struct {
	LSN uint64
	Ops []kv.Op
}

// Pair is a live key and its value.
type Pair struct{ Key, Value []byte }

// NewModel returns an empty one.
func NewModel() *Model { return &Model{keys: map[string][]version{}} }

// Apply records a batch.
func (m *Model) Apply(lsn uint64, ops []kv.Op) {
	m.log = append(m.log, Batch{lsn, ops})
	for _, op := range ops {
		k := string(op.Key)
		vs := m.keys[k]
		if n := len(vs); n > 0 && vs[n-1].lsn == lsn {
			vs = vs[:n-1]
		}
		m.keys[k] = append(vs, version{lsn, op.Value, op.Value != nil})
	}
}

// LSN is that of the last batch.
func (m *Model) LSN() uint64 {
	if len(m.log) == 0 {
		return 0
	}
	return m.log[len(m.log)-1].LSN
}

// After returns the batches after an LSN.
func (m *Model) After(lsn uint64) []Batch {
	i := sort.Search(len(m.log), func(i int) bool { return m.log[i].LSN > lsn })
	return m.log[i:]
}

// Get returns a key's value at an LSN.
func (m *Model) Get(key []byte, lsn uint64) ([]byte, bool) {
	vs := m.keys[string(key)]
	i := sort.Search(len(vs), func(i int) bool { return vs[i].lsn > lsn })
	if i == 0 || !vs[i-1].live {
		return nil, false
	}
	return vs[i-1].value, true
}

// Live returns the live pairs with keys in [lower, upper) in order; nil is open.
func (m *Model) Live(lower, upper []byte, lsn uint64) []Pair {
	pairs := []Pair{}
	for k := range m.keys {
		key := []byte(k)
		if lower != nil && bytes.Compare(key, lower) < 0 || upper != nil && bytes.Compare(key, upper) >= 0 {
			continue
		}
		if value, ok := m.Get(key, lsn); ok {
			pairs = append(pairs, Pair{key, value})
		}
	}
	sort.Slice(pairs, func(i, j int) bool { return bytes.Compare(pairs[i].Key, pairs[j].Key) < 0 })
	return pairs
}
