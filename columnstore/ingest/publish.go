package ingest

import (
	"sort"
	"strconv"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Publication is what may become visible next, all of it under one version.
type Publication struct {
	Pipeline string
	Source   string

	// Takeover makes Epoch the current one and drops what its predecessors left.
	// With Reset every table of the pipeline starts empty.
	Takeover bool
	Epoch    uint64
	Reset    bool

	// Otherwise: the changes in (Above, To] of the loads, in their order within a
	// partition. With Chunk whole loads of a snapshot are taken and W stays.
	Above      schemas.LSN
	To         schemas.LSN
	CommitTime int64
	Chunk      bool
	Snapshot   []load.Snapshot
	Barriers   []load.Barrier // in position order
	Loads      []*Staged
	// Ready are the tables that are complete with this publication.
	Ready []string

	records int
	needs   map[load.Partition]uint64
}

// maxMerge limits the rows of records that are published together, so that one
// publication does not hold up the next for long.
const maxMerge = 256 << 10

// satisfied says whether what a progress record needs is durable.
func (e *epoch) satisfied(q *pending) bool {
	for _, n := range q.Needs {
		s := e.parts[n.Partition]
		if n.Sequence > 0 && (s == nil || s.durable < n.Sequence) {
			return false
		}
	}
	return true
}

// Next returns what to publish, or nil when nothing is ready.
func (p *Pipe) Next(h Hooks) *Publication {
	pub := p.next(h)
	if pub != nil {
		pub.Pipeline, pub.Source = p.Control.Name, p.Control.Source
	}
	return pub
}

func (p *Pipe) next(h Hooks) *Publication {
	if p.Err != nil && !p.resyncing() {
		return nil
	}
	if p.Err == nil {
		if pub := p.ready(h); pub != nil {
			return pub
		}
	}
	return p.takeover()
}

func (p *Pipe) resyncing() bool {
	for _, e := range p.epochs[1:] {
		if e.begun && e.run.Snapshot {
			return true
		}
	}
	return false
}

// ready merges the leading records of the current epoch that may be published: F is
// at or below W, T is past it (or equal, for a heartbeat or a snapshot's chunk),
// and all that they need is durable.
func (p *Pipe) ready(h Hooks) *Publication {
	e := p.epochs[0]
	for len(e.queue) > 0 && p.old(e.queue[0]) {
		e.queue = e.queue[1:] // published before the restart
	}
	var pub *Publication
	for _, q := range e.queue {
		if !h.NoNeeds && !e.satisfied(q) {
			break
		}
		w := p.W
		if pub != nil {
			w = pub.To
		}
		if q.From > w {
			p.stuck = "the progress topic lacks the interval from " + w.String() + " to " + q.From.String()
			break
		}
		if pub == nil {
			pub = &Publication{Epoch: e.n, Above: p.W, To: p.W, CommitTime: p.CommitTime, Chunk: q.Snapshot != nil, needs: map[load.Partition]uint64{}}
			if p.loading {
				pub.Above = 0
			}
		} else if pub.Chunk != (q.Snapshot != nil) || p.rows(e, pub.To) > maxMerge {
			break
		}
		pub.add(q)
	}
	if pub == nil {
		return nil
	}
	if !pub.Chunk {
		pub.Ready = p.covers
	}
	pub.Loads = p.loadsOf(e, pub)
	return pub
}

// old says whether a record lies wholly at or below W.
func (p *Pipe) old(q *pending) bool {
	if q.Snapshot != nil {
		return !p.loading
	}
	return q.To < p.W || q.To == p.W && q.CommitTime <= p.CommitTime && !p.loading
}

func (pub *Publication) add(q *pending) {
	pub.records++
	pub.CommitTime = max(pub.CommitTime, q.CommitTime) // version times never decrease
	for _, n := range q.Needs {
		pub.needs[n.Partition] = max(pub.needs[n.Partition], n.Sequence)
	}
	if q.Snapshot != nil {
		pub.Snapshot = append(pub.Snapshot, *q.Snapshot)
		return
	}
	for _, b := range q.Barriers {
		if b.LSN > pub.Above && b.LSN <= q.To {
			pub.Barriers = append(pub.Barriers, b)
		}
	}
	pub.To = max(pub.To, q.To)
}

func (p *Pipe) rows(e *epoch, to schemas.LSN) int {
	n := 0
	for _, s := range e.parts {
		for _, l := range s.loads {
			if l.Min <= to {
				n += l.Rows
			}
		}
	}
	return n
}

// loadsOf picks the staged loads that hold rows of a publication.
func (p *Pipe) loadsOf(e *epoch, pub *Publication) []*Staged {
	ids := make([]load.Partition, 0, len(e.parts))
	for id := range e.parts {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return before(ids[i], ids[j]) })
	var out []*Staged
	for _, id := range ids {
		for _, l := range e.parts[id].loads {
			if pub.takes(id, l) {
				out = append(out, l)
			}
		}
	}
	return out
}

func (pub *Publication) takes(id load.Partition, l *Staged) bool {
	if pub.Chunk {
		return l.To <= pub.needs[id]
	}
	return l.Min <= pub.To && l.Max > pub.Above
}

// takeover picks the epoch that follows the current one: the first that began at
// or before W, or begins with a snapshot. Everything of the current epoch that can
// be published was, because no load of it is accepted since the next was granted.
func (p *Pipe) takeover() *Publication {
	for _, e := range p.epochs[1:] {
		switch {
		case !e.begun:
		case e.run.Snapshot:
			return &Publication{Takeover: true, Epoch: e.n, Reset: true, To: e.from, CommitTime: p.CommitTime}
		case e.from <= p.W:
			return &Publication{Takeover: true, Epoch: e.n, To: p.W, CommitTime: p.CommitTime}
		default:
			p.stuck = "epoch " + strconv.FormatUint(e.n, 10) + " begins at " + e.from.String() + ", past what is loaded; a resync is needed"
		}
	}
	return nil
}

// Published notes that a publication is visible and returns the bytes of staged
// memory that it freed. tables are the pipeline's, all of them, for a takeover.
func (p *Pipe) Published(pub *Publication, tables []string) (freed int64) {
	if pub.Takeover {
		return p.tookOver(pub, tables)
	}
	e := p.epochs[0]
	e.queue = e.queue[pub.records:]
	p.CommitTime = pub.CommitTime
	if !pub.Chunk {
		p.W, p.loading, p.covers = pub.To, false, nil
	}
	for id, s := range e.parts {
		keep := s.loads[:0]
		for _, l := range s.loads {
			done := l.Max <= pub.To
			if pub.Chunk {
				done = pub.takes(id, l)
			}
			if !done {
				keep = append(keep, l)
				continue
			}
			if pub.Chunk {
				s.applied = max(s.applied, l.To)
			}
			freed += l.memory()
		}
		clear(s.loads[len(keep):])
		s.loads = keep
	}
	p.DurableW = max(p.DurableW, p.W)
	return freed
}

func (l *Staged) memory() int64 {
	if l.Batches == nil {
		return 0
	}
	return l.Bytes
}

func (p *Pipe) tookOver(pub *Publication, tables []string) (freed int64) {
	for p.epochs[0].n != pub.Epoch {
		for _, s := range p.epochs[0].parts {
			for _, l := range s.loads {
				freed += l.memory()
			}
		}
		p.epochs = p.epochs[1:]
	}
	p.stuck = ""
	if pub.Reset || p.W == 0 {
		p.covers = tables
	}
	if pub.Reset {
		p.Err, p.loading = nil, true
		p.W, p.DurableW = pub.To, pub.To
	}
	return freed
}

// Advance works out DurableW: where W will be once everything durable is published.
// It says whether it grew.
func (p *Pipe) Advance() bool {
	if p.Err != nil {
		return false // nothing past the trouble counts as durable
	}
	w, partial := p.W, p.loading
	for i, e := range p.epochs {
		if i > 0 {
			switch {
			case !e.begun:
				continue
			case e.run.Snapshot:
				w, partial = e.from, true
			case e.from > w:
				continue
			}
		}
		for _, q := range e.queue {
			if !e.satisfied(q) || q.From > w {
				break
			}
			if q.Snapshot == nil {
				w, partial = max(w, q.To), false
			}
		}
	}
	grew := w > p.DurableW
	p.DurableW, p.partial = w, partial
	return grew
}
