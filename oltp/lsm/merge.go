package lsm

import "github.com/millrace/millrace/oltp/lsm/ikey"

// merge walks several sources as one, by a binary heap of those that are on a
// version. No two sources hold the same version.
type merge struct {
	sources []source
	heap    []source
	reverse bool
	err     error
}

func (m *merge) reset() {
	clear(m.sources)
	clear(m.heap[:cap(m.heap)])
	m.sources, m.heap, m.err = m.sources[:0], m.heap[:0], nil
}

func (m *merge) less(a, b source) bool {
	c := ikey.Compare(a.Key(), a.LSN(), b.Key(), b.LSN())
	return c < 0 != m.reverse
}

// start moves every source and builds the heap. A source that fails ends all:
// an error never looks like an end (I8).
func (m *merge) start(reverse bool, move func(source) bool) bool {
	m.heap, m.reverse = m.heap[:0], reverse
	for _, s := range m.sources {
		if move(s) {
			m.heap = append(m.heap, s)
		} else if err := s.Err(); err != nil {
			return m.fail(err)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return len(m.heap) > 0
}

func (m *merge) fail(err error) bool {
	m.err, m.heap = err, m.heap[:0]
	return false
}

func (m *merge) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			return
		}
		if right := child + 1; right < len(m.heap) && m.less(m.heap[right], m.heap[child]) {
			child = right
		}
		if !m.less(m.heap[child], m.heap[i]) {
			return
		}
		m.heap[i], m.heap[child] = m.heap[child], m.heap[i]
		i = child
	}
}

// settle puts the top, which moved, in its place.
func (m *merge) settle(ok bool) bool {
	if !ok {
		if err := m.heap[0].Err(); err != nil {
			return m.fail(err)
		}
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.down(0)
	return len(m.heap) > 0
}

func (m *merge) First() bool { return m.start(false, source.First) }
func (m *merge) Last() bool  { return m.start(true, source.Last) }

func (m *merge) SeekGE(key []byte, lsn uint64) bool {
	return m.start(false, func(s source) bool { return s.SeekGE(key, lsn) })
}

func (m *merge) SeekLT(key []byte, lsn uint64) bool {
	return m.start(true, func(s source) bool { return s.SeekLT(key, lsn) })
}

// Next follows a forward move, Prev a backward one: merge does not turn round.
func (m *merge) Next() bool { return m.settle(m.heap[0].Next()) }
func (m *merge) Prev() bool { return m.settle(m.heap[0].Prev()) }

func (m *merge) valid() bool                      { return len(m.heap) > 0 }
func (m *merge) Key() []byte                      { return m.heap[0].Key() }
func (m *merge) LSN() uint64                      { return m.heap[0].LSN() }
func (m *merge) Value() (value []byte, live bool) { return m.heap[0].Value() }
func (m *merge) Err() error                       { return m.err }
