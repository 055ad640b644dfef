package oltp

import "sync"

// snapshots knows at which LSNs transactions read, so that the engine keeps the
// versions they need.
type snapshots struct {
	mu      sync.Mutex
	oldest  *snapshot // list in order of LSN
	newest  *snapshot
	count   int
	horizon uint64
}

// snapshot is one reader's place in the list.
type snapshot struct {
	lsn        uint64
	writes     bool // the reader may commit changes
	prev, next *snapshot
}

// open adds s at the LSN that now returns; now is called under the lock, so that the
// horizon never passes an LSN on its way into the list.
func (r *snapshots) open(s *snapshot, now func() uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.lsn = max(now(), r.horizon)
	r.count++
	after := r.newest
	for after != nil && after.lsn > s.lsn {
		after = after.prev
	}
	s.prev = after
	if after == nil {
		s.next, r.oldest = r.oldest, s
	} else {
		s.next, after.next = after.next, s
	}
	if s.next == nil {
		r.newest = s
	} else {
		s.next.prev = s
	}
}

// close removes s and returns the horizon: the oldest LSN that a reader has or may
// yet get, now() when there is none. moved says that it rose.
func (r *snapshots) close(s *snapshot, now func() uint64) (horizon uint64, moved bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count--
	if s.prev == nil {
		r.oldest = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		r.newest = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	h := now()
	if r.oldest != nil {
		h = min(h, r.oldest.lsn)
	}
	moved = h > r.horizon
	r.horizon = max(r.horizon, h)
	return r.horizon, moved
}

// oldestWriter returns the oldest snapshot of a reader that may write, or now.
// Read-only transactions, which may be long, do not count: they never conflict.
func (r *snapshots) oldestWriter(now uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := r.oldest; s != nil; s = s.next {
		if s.writes {
			return min(s.lsn, now)
		}
	}
	return now
}

// stats returns the number of readers and the oldest one's LSN, or now.
func (r *snapshots) stats(now uint64) (count int, oldest uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.oldest != nil {
		now = min(now, r.oldest.lsn)
	}
	return r.count, now
}
