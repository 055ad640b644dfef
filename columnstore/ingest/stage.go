package ingest

import (
	"fmt"

	"github.com/millrace/millrace/columnstore/loadlog"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

func fenced(format string, args ...any) error {
	return &schemas.Error{Code: schemas.CodeFenced, SQLState: "55000", Message: fmt.Sprintf(format, args...),
		Hint: "stop loading and acquire leases again"}
}

// Hooks disable a rule; only tests that want to see the rule missed set them.
type Hooks struct {
	NoFence bool // accept any token, epoch and version
	NoNeeds bool // publish without looking at needs
}

// Admit says whether a load may be logged: its token, epoch and pipeline version
// are the newest and its sequences follow. known means that all of it was accepted
// before, so that it only needs to be durable.
func (p *Pipe) Admit(l *load.Load, h Hooks) (known bool, err error) {
	e := p.newest()
	if !h.NoFence {
		if err := p.fence(l, e); err != nil {
			return false, err
		}
	}
	if p.Err != nil && !e.run.Snapshot {
		return false, p.Err
	}
	if l.Epoch != e.n {
		if e = p.epoch(l.Epoch); e == nil {
			return false, fenced("epoch %d is over", l.Epoch)
		}
	}
	if l.To < l.From {
		return false, schemas.Errorf(schemas.CodeInvalid, "22023", "load of sequences [%d,%d)", l.From, l.To)
	}
	isProgress := l.Lease.Partition == load.Partition{Topic: e.run.Progress}
	if !isProgress && (l.Begin != nil || len(l.Progress) > 0) {
		return false, schemas.Errorf(schemas.CodeInvalid, "22023", "progress records on partition %v", l.Lease.Partition)
	}
	s := e.part(l.Lease.Partition)
	switch {
	case l.To <= s.next && l.From < s.next, l.From == l.To && l.To <= s.next && l.Begin == nil && len(l.Progress) == 0 && len(l.Batches) == 0:
		return true, nil
	case l.From > s.next:
		return false, schemas.Errorf(schemas.CodeStream, "55000", "partition %s/%d: sequences %d to %d are missing before this load",
			l.Lease.Partition.Topic, l.Lease.Partition.Index, s.next, l.From-1)
	case l.From < s.next:
		return false, schemas.Errorf(schemas.CodeStream, "55000", "partition %s/%d: load of [%d,%d) overlaps what is loaded up to %d; resume at the lease's next sequence",
			l.Lease.Partition.Topic, l.Lease.Partition.Index, l.From, l.To, s.next)
	}
	return false, nil
}

// fence refuses whoever is not the newest owner: epoch, pipeline version, lease.
func (p *Pipe) fence(l *load.Load, e *epoch) error {
	if l.Epoch != e.n || l.Epoch != p.Control.Epoch {
		return fenced("epoch %d of pipeline %s is over, it is at %d", l.Epoch, p.Control.Name, p.Control.Epoch)
	}
	if l.Version != p.Control.Version {
		return fenced("version %q of pipeline %s was replaced by %q", l.Version, p.Control.Name, p.Control.Version)
	}
	for _, held := range p.Control.Leases {
		if held.Partition == l.Lease.Partition && held.Token == l.Lease.Token && held.Worker != "" {
			return nil
		}
	}
	return fenced("the lease of partition %s/%d with token %d is over", l.Lease.Partition.Topic, l.Lease.Partition.Index, l.Lease.Token)
}

// Accept counts a load that was appended to the log but is not durable yet.
func (p *Pipe) Accept(l *load.Load) {
	s := p.epoch(l.Epoch).part(l.Lease.Partition)
	s.next, s.offset = l.To, l.NextOffset
}

// Durable takes up a record that is durable and starts at a place in the log. It
// returns the staged load when rows of it wait, else nil. In recovery it is told
// the same records again.
func (p *Pipe) Durable(rec *loadlog.Record, at schemas.LSN) *Staged {
	e := p.epoch(rec.Epoch)
	if e == nil {
		return nil // an epoch that was given up
	}
	s := e.part(rec.Partition)
	if rec.To >= s.durable {
		s.durable, s.durableO = rec.To, rec.NextOffset
	}
	if rec.To >= s.next {
		s.next, s.offset = rec.To, rec.NextOffset
	}
	if rec.Begin != nil && !e.begun && rec.Begin.Epoch == e.n {
		p.begin(e, rec.Begin, at)
	}
	for _, pr := range rec.Progress {
		if pr.Epoch == e.n {
			e.queue = append(e.queue, &pending{Progress: pr, at: at})
		}
	}
	st := stagedOf(rec, at)
	if st.Rows == 0 || rec.To <= s.applied || e == p.epochs[0] && !p.loading && st.Max <= p.W {
		return nil
	}
	s.loads = append(s.loads, st)
	return st
}

func (p *Pipe) begin(e *epoch, b *load.Begin, at schemas.LSN) {
	e.begun, e.from, e.beginAt = true, b.From, at
	e.markers = make(map[load.Partition]int64, len(b.Markers))
	for _, m := range b.Markers {
		e.markers[m.Partition] = m.Offset
		if s := e.parts[m.Partition]; s != nil && s.next == 0 {
			s.offset, s.durableO = m.Offset, m.Offset
		} else {
			e.part(m.Partition)
		}
	}
}

func stagedOf(rec *loadlog.Record, at schemas.LSN) *Staged {
	st := &Staged{At: at, From: rec.From, To: rec.To, Batches: rec.Batches}
	for i, b := range rec.Batches {
		if i == 0 || b.MinLSN < st.Min {
			st.Min = b.MinLSN
		}
		st.Max = max(st.Max, b.MaxLSN)
		st.Rows += b.Rows
		st.Bytes += b.Size()
		st.Moves = st.Moves || b.Moves()
	}
	return st
}

// Awaited says whether W waits for a partition: the progress partition always, and
// those whose needs hold back the next progress record.
func (p *Pipe) Awaited(id load.Partition) bool {
	e := p.newest()
	if id.Topic == e.run.Progress {
		return true
	}
	for _, e := range p.epochs {
		for _, q := range e.queue {
			if e.satisfied(q) {
				continue
			}
			for _, n := range q.Needs {
				if n.Partition == id && e.part(id).durable < n.Sequence {
					return true
				}
			}
			break
		}
	}
	return false
}
