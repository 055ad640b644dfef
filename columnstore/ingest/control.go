package ingest

import (
	"slices"
	"sort"
	"time"

	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Registered returns the control of a new version of the pipeline, or nil when it
// is the present one. A new version ends every lease, and gives none out before a run
// of its own is granted: two versions never make the rows of one epoch (I2).
func (p *Pipe) Registered(v load.Pipeline) *manifest.Control {
	if p.Control.Version == v.Version {
		return nil
	}
	c := p.Control.Clone()
	c.Pipeline = v
	for i := range c.Leases {
		c.Token++
		c.Leases[i].Token, c.Leases[i].Worker = c.Token, ""
	}
	return c
}

// Granted returns the control that gives a run its epoch. The first epoch of a
// warehouse's history lies after floor, which grows from one history to the next:
// topics may hold what a run of a former warehouse wrote, and its epochs must be
// lower than the present ones (I2).
func (p *Pipe) Granted(run load.Run, floor uint64) (*manifest.Control, error) {
	if err := p.admits(run); err != nil {
		return nil, err
	}
	c := p.Control.Clone()
	if c.Epoch == 0 {
		c.Epoch = floor
	}
	c.Epoch++
	c.Replay = ""
	c.Leases = nil
	c.Runs = slices.DeleteFunc(c.Runs, func(g manifest.GrantedRun) bool { return g.Epoch < p.saved })
	c.Runs = append(c.Runs, manifest.GrantedRun{Epoch: c.Epoch, Version: c.Version, Run: run})
	return c, nil
}

// admits refuses a run that could not continue what is loaded.
func (p *Pipe) admits(run load.Run) error {
	if run.Source != p.Control.Source {
		return schemas.Errorf(schemas.CodeInvalid, "22023", "pipeline %s reads source %q, not %q", p.Control.Name, p.Control.Source, run.Source)
	}
	if n, ok := run.Partitions[run.Progress]; !ok || n != 1 {
		return schemas.Errorf(schemas.CodeInvalid, "22023", "run of %s: the progress topic %q must be among the partitions, with one", run.Pipeline, run.Progress)
	}
	if p.Err != nil && !run.Snapshot {
		return &schemas.Error{Code: schemas.CodeSource, SQLState: "55000", Message: "pipeline " + p.Control.Name + " cannot go on",
			Err: p.Err, Hint: "load it afresh: stop the pipeline, remove its data folder, start it"}
	}
	if p.partial && !run.Snapshot {
		return &schemas.Error{Code: schemas.CodeSource, SQLState: "55000",
			Message: "the initial load of pipeline " + p.Control.Name + " is not complete", Hint: "start a run that begins with a snapshot"}
	}
	known := p.newest().run.Incarnation
	if run.Snapshot || known == "" || known == run.Incarnation {
		return p.continues(run)
	}
	return &schemas.Error{Code: schemas.CodeSource, SQLState: "55000",
		Message: "source " + run.Source + " is another one than was loaded: its incarnation is " + run.Incarnation + ", not " + known,
		Hint:    "check the connection string; to load this source afresh, stop the pipeline, remove its data folder, start it"}
}

// Take makes a control the present one, once it is durable.
func (p *Pipe) Take(c *manifest.Control) {
	if c.Version != p.Control.Version || c.Epoch != p.Control.Epoch {
		clear(p.expires)
	}
	if c.Epoch != p.Control.Epoch {
		p.stuck = ""
	}
	p.Control = c
	for _, g := range c.Runs {
		p.grant(g)
	}
}

// LostAt returns the control that notes that an epoch cannot go on, or nil when
// that is known or the epoch is an old one.
func (p *Pipe) LostAt(epoch uint64, reason string) *manifest.Control {
	if epoch != p.Control.Epoch || p.Control.Replay != "" {
		return nil
	}
	c := p.Control.Clone()
	c.Replay = reason
	return c
}

// Abandoned returns the control that ends every granted epoch, because loads that
// were acknowledged are lost: only a new run goes on.
func (p *Pipe) Abandoned(reason string) *manifest.Control {
	c := p.Control.Clone()
	c.Epoch++
	c.Leases, c.Replay = nil, reason
	return c
}

// partitions are those that may be leased now: only the progress partition until
// the begin record says where the others start.
func (e *epoch) partitions() []load.Partition {
	out := []load.Partition{{Topic: e.run.Progress}}
	if !e.begun {
		return out
	}
	for topic, n := range e.run.Partitions {
		if topic == e.run.Progress {
			continue
		}
		for i := range n {
			out = append(out, load.Partition{Topic: topic, Index: i})
		}
	}
	rest := out[1:]
	sort.Slice(rest, func(i, j int) bool { return before(rest[i], rest[j]) })
	return out
}

// Acquire works out a worker's leases. The control, when not nil, must be durable
// before the leases are given out.
func (p *Pipe) Acquire(worker string, limit int, now time.Time, ttl time.Duration) (*manifest.Control, func() []load.Lease) {
	p.seen[worker] = now
	e := p.newest()
	if p.Control.Epoch == 0 || e.n != p.Control.Epoch || e.version != p.Control.Version {
		return nil, func() []load.Lease { return nil }
	}
	parts := e.partitions()
	active := 0
	for w, at := range p.seen {
		if now.Sub(at) > ttl {
			delete(p.seen, w)
			continue
		}
		active++
	}
	share := (len(parts) + active - 1) / active
	if limit > 0 {
		share = min(share, limit)
	}
	c := p.Control.Clone()
	mine, changed := map[load.Partition]bool{}, false
	for i := range c.Leases {
		l := &c.Leases[i]
		if l.Worker != worker {
			continue
		}
		if len(mine) >= share {
			l.Worker, changed = "", true // over its share: somebody else may have it
			continue
		}
		mine[l.Partition] = true
	}
	for _, id := range parts {
		if len(mine) >= share {
			break
		}
		if mine[id] || !p.free(c, id, now) {
			continue
		}
		lease(c, id, worker)
		mine[id], changed = true, true
	}
	give := func() []load.Lease { return p.leases(e, worker, now.Add(ttl)) }
	if !changed {
		return nil, give
	}
	return c, give
}

func (p *Pipe) free(c *manifest.Control, id load.Partition, now time.Time) bool {
	for i := range c.Leases {
		if c.Leases[i].Partition == id {
			return c.Leases[i].Worker == "" || now.After(p.expires[id])
		}
	}
	return true
}

// lease bumps the token: whoever had the partition before is fenced.
func lease(c *manifest.Control, id load.Partition, worker string) {
	c.Token++
	for i := range c.Leases {
		if c.Leases[i].Partition == id {
			c.Leases[i].Token, c.Leases[i].Worker = c.Token, worker
			return
		}
	}
	c.Leases = append(c.Leases, manifest.Lease{Partition: id, Token: c.Token, Worker: worker})
}

func (p *Pipe) leases(e *epoch, worker string, until time.Time) []load.Lease {
	var out []load.Lease
	for _, l := range p.Control.Leases {
		if l.Worker == worker {
			p.expires[l.Partition] = until
			out = append(out, p.describe(e, l))
		}
	}
	return out
}

func (p *Pipe) describe(e *epoch, l manifest.Lease) load.Lease {
	s := e.part(l.Partition)
	return load.Lease{Pipeline: p.Control.Name, Source: p.Control.Source, Partition: l.Partition, Worker: l.Worker, Token: l.Token,
		Epoch: e.n, NextSequence: s.next, Offset: s.offset, Run: e.run}
}

// Leases lists all that are held.
func (p *Pipe) Leases() []load.Lease {
	var out []load.Lease
	for _, l := range p.Control.Leases {
		if l.Worker != "" && p.newest().n == p.Control.Epoch {
			out = append(out, p.describe(p.newest(), l))
		}
	}
	return out
}

// KeepLeases lets leases that were durable run on after a restart.
func (p *Pipe) KeepLeases(until time.Time) {
	for _, l := range p.Control.Leases {
		p.expires[l.Partition] = until
	}
}

// Released returns the control without the given leases, or nil when none is held.
func (p *Pipe) Released(leases []load.Lease) *manifest.Control {
	c := p.Control.Clone()
	changed := false
	for _, r := range leases {
		for i := range c.Leases {
			l := &c.Leases[i]
			if l.Partition == r.Partition && l.Token == r.Token && l.Worker != "" {
				l.Worker, changed = "", true
			}
		}
	}
	if !changed {
		return nil
	}
	return c
}
