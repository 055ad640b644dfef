// Package ingest is the warehouse's side of the load protocol as a state machine:
// who may load what, what is staged, and what may be published next. It does no I/O
// and takes no locks: the store calls it under one mutex, logs and commits what it
// is told, and publishes what Next says.
package ingest

import (
	"sort"
	"time"

	"github.com/millrace/millrace/columnstore/loadlog"
	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Pipe is the state of one pipeline.
type Pipe struct {
	// Control is durable; it is replaced, never changed.
	Control *manifest.Control
	// Err is why publishing stopped, until a new snapshot run.
	Err error

	// W, CommitTime and DurableW are the visible and the durable boundary.
	W          schemas.LSN
	CommitTime int64
	DurableW   schemas.LSN

	loading bool     // the current epoch's snapshot is not complete
	partial bool     // the same once everything durable is published
	covers  []string // tables that become ready when it is
	epochs  []*epoch // the current one first, then later grants

	expires map[load.Partition]time.Time
	seen    map[string]time.Time // worker → last Acquire
	stuck   string               // why no epoch can go on
	saved   uint64               // current epoch at the last checkpoint: a restart begins there
}

// epoch is what is known of one epoch's stream.
type epoch struct {
	n       uint64
	run     load.Run
	version string // of the pipeline: all rows of an epoch are made by one
	begun   bool
	from    schemas.LSN
	markers map[load.Partition]int64
	beginAt schemas.LSN // the load that holds the begin record
	parts   map[load.Partition]*part
	queue   []*pending
}

// part is one partition of an epoch.
type part struct {
	next, durable    uint64 // first sequence not accepted, not durable
	offset, durableO int64
	applied          uint64 // sequences below it are in the tables
	loads            []*Staged
}

// pending is a progress record that is not published.
type pending struct {
	load.Progress
	at schemas.LSN // the load that holds it
}

// Staged is a durable load whose rows are not all published.
type Staged struct {
	// At is where its record starts in the load log.
	At       schemas.LSN
	From, To uint64
	Rows     int
	Bytes    int64
	Min, Max schemas.LSN // of its rows
	Moves    bool        // some rows come with an old key
	// Batches is nil when the load was spilled: the log has it.
	Batches []loadlog.Batch
}

// NewPipe makes the state of a pipeline from what is durable; pos may be nil.
func NewPipe(c *manifest.Control, pos *manifest.Position) *Pipe {
	p := &Pipe{Control: c, expires: map[load.Partition]time.Time{}, seen: map[string]time.Time{}}
	if pos == nil {
		pos = &manifest.Position{}
	}
	p.W, p.DurableW, p.CommitTime, p.loading, p.partial, p.covers = pos.W, pos.W, pos.CommitTime, pos.Loading, pos.Loading, pos.Covers
	p.saved = pos.Epoch
	p.epochs = []*epoch{{n: pos.Epoch, parts: map[load.Partition]*part{}}}
	for _, g := range c.Runs {
		p.grant(g)
	}
	for _, e := range pos.Epochs {
		ep := p.epoch(e.Epoch)
		if ep == nil {
			continue
		}
		ep.begun, ep.from = e.Begun, e.From
		for _, s := range e.Parts {
			ep.parts[s.Partition] = &part{next: s.Next, durable: s.Next, applied: s.Applied, offset: s.Offset, durableO: s.Offset}
		}
	}
	return p
}

// Position is what a checkpoint must remember of the pipeline.
func (p *Pipe) Position() *manifest.Position {
	pos := &manifest.Position{Epoch: p.epochs[0].n, W: p.W, CommitTime: p.CommitTime, Loading: p.loading, Covers: p.covers}
	for _, e := range p.epochs {
		me := manifest.Epoch{Epoch: e.n, Begun: e.begun, From: e.from}
		for id, s := range e.parts {
			me.Parts = append(me.Parts, manifest.PartitionState{Partition: id, Next: s.durable, Applied: s.applied, Offset: s.durableO})
		}
		sort.Slice(me.Parts, func(i, j int) bool { return before(me.Parts[i].Partition, me.Parts[j].Partition) })
		pos.Epochs = append(pos.Epochs, me)
	}
	return pos
}

// Saved notes that a position is durable in a checkpoint.
func (p *Pipe) Saved(pos *manifest.Position) { p.saved = pos.Epoch }

// Oldest is where the oldest load starts that the log must keep; ok is false when
// there is none.
func (p *Pipe) Oldest() (at schemas.LSN, ok bool) {
	note := func(l schemas.LSN) {
		if !ok || l < at {
			at, ok = l, true
		}
	}
	for _, e := range p.epochs {
		if len(e.queue) > 0 {
			note(e.queue[0].at)
		}
		for _, s := range e.parts {
			for _, l := range s.loads {
				note(l.At)
			}
		}
	}
	return at, ok
}

func before(a, b load.Partition) bool {
	return a.Topic < b.Topic || a.Topic == b.Topic && a.Index < b.Index
}

func (p *Pipe) epoch(n uint64) *epoch {
	for _, e := range p.epochs {
		if e.n == n {
			return e
		}
	}
	return nil
}

// grant takes up a granted epoch, unless a newer one is current.
func (p *Pipe) grant(g manifest.GrantedRun) {
	cur := p.epochs[0]
	switch {
	case g.Epoch == cur.n:
		cur.run, cur.version = g.Run, g.Version
	case g.Epoch > cur.n && p.epoch(g.Epoch) == nil:
		p.epochs = append(p.epochs, &epoch{n: g.Epoch, run: g.Run, version: g.Version, parts: map[load.Partition]*part{}})
	}
}

// newest is the epoch that may load.
func (p *Pipe) newest() *epoch { return p.epochs[len(p.epochs)-1] }

func (e *epoch) part(id load.Partition) *part {
	s := e.parts[id]
	if s == nil {
		s = &part{}
		if off, ok := e.markers[id]; ok {
			s.offset, s.durableO = off, off
		}
		e.parts[id] = s
	}
	return s
}

// Replay says why capture must start a new run, or "".
func (p *Pipe) Replay() string {
	switch {
	case p.Control.Replay != "":
		return p.Control.Replay
	case p.Err != nil:
		return "publishing stopped: " + p.Err.Error()
	}
	return p.stuck
}

// Epoch is the newest granted epoch.
func (p *Pipe) Epoch() uint64 { return p.Control.Epoch }

// Incarnation is of the newest granted run.
func (p *Pipe) Incarnation() string { return p.newest().run.Incarnation }

// Staged is how many loads wait, and their rows.
func (p *Pipe) Staged() (loads, rows int) {
	for _, e := range p.epochs {
		for _, s := range e.parts {
			for _, l := range s.loads {
				loads, rows = loads+1, rows+l.Rows
			}
		}
	}
	return loads, rows
}

// Partial says whether a snapshot is begun and not complete, counting all that is
// durable.
func (p *Pipe) Partial() bool { return p.partial }
