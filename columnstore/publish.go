package columnstore

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/columnstore/loadlog"
	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// ceilingStep is how many versions are reserved at once.
const ceilingStep = 1 << 20

// retryAfter is how long publishing rests after the disk failed.
const retryAfter = time.Second

func (s *Store) publishLoop() {
	defer s.workers.Done()
	var retry <-chan time.Time
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wakePublish:
		case <-retry:
		}
		retry = nil
		if err := s.publishAll(); err != nil {
			s.opts.Logger.Error("publishing failed; trying again", "error", err)
			s.metrics.publishErrors.Inc()
			retry = s.opts.Clock.After(retryAfter)
		}
	}
}

// publishAll publishes until nothing is ready.
func (s *Store) publishAll() error {
	for s.ctx.Err() == nil {
		did, err := s.publishOne()
		if err != nil || !did {
			return err
		}
	}
	return nil
}

// publishOne makes the next publication of some pipeline visible.
func (s *Store) publishOne() (did bool, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	p, pub := s.nextPublication()
	if pub == nil {
		return false, nil
	}
	began := s.opts.Clock.Now()
	if err := s.reserve(); err != nil {
		return false, err
	}
	s.write.version++
	version := s.write.version
	if s.opts.hooks.earlyW {
		early := s.visible.Load().sources[pub.Pipeline]
		early.Pipeline, early.Source, early.W = pub.Pipeline, pub.Source, pub.To
		s.swap(version, nil, &early)
		s.opts.hooks.between()
	}
	touched, err := s.applyAll(pub, version)
	if err != nil {
		return s.failed(p, pub, err)
	}
	s.makeVisible(p, pub, version, touched)
	s.metrics.publishSeconds.Observe(s.opts.Clock.Now().Sub(began).Seconds())
	if int64(s.log.DurableLSN()-s.log.OldestLSN()) > s.opts.LogBytes || s.cache.Pinned() > s.opts.FlushBytes {
		signal(s.wakeMaintain)
	}
	return true, nil
}

func (s *Store) nextPublication() (*ingest.Pipe, *ingest.Publication) {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	names := make([]string, 0, len(s.ingest.pipes))
	for name := range s.ingest.pipes {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if pub := s.ingest.pipes[name].Next(s.opts.hooks.Hooks); pub != nil {
			return s.ingest.pipes[name], pub
		}
	}
	return nil, nil
}

// reserve makes sure that the next version lies below the durable ceiling, so that
// versions never go back, not even over a crash.
func (s *Store) reserve() error {
	if s.write.version < s.write.ceiling {
		return nil
	}
	ceiling := s.write.ceiling + ceilingStep
	if err := s.man.Commit(&manifest.Edit{Ceiling: ceiling}); err != nil {
		return err
	}
	s.write.ceiling = ceiling
	return nil
}

// failed decides what an unpublishable change means: trouble with the disk is
// tried again, anything else stops the pipeline loudly until it is resynced (I7).
func (s *Store) failed(p *ingest.Pipe, pub *ingest.Publication, err error) (bool, error) {
	err = fmt.Errorf("publish %s up to %s: %w", pub.Pipeline, pub.To, err)
	switch schemas.CodeOf(err) {
	case schemas.CodeIO, schemas.CodeDiskFull, schemas.CodeCorrupt:
		return false, err
	}
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p.Err = err
	s.opts.Logger.Error("pipeline stopped", "pipeline", pub.Pipeline, "error", err)
	s.notify()
	return true, nil
}

// makeVisible swaps the pointer that queries read, and tells the pipeline.
func (s *Store) makeVisible(p *ingest.Pipe, pub *ingest.Publication, version uint64, touched map[string]*tab) {
	for _, name := range pub.Ready {
		if t := s.write.tables[name]; t != nil && !t.ready {
			t.ready, touched[name] = true, t
		}
	}
	s.ingest.Lock()
	freed := p.Published(pub, s.tablesOf(pub.Pipeline))
	s.ingest.staged -= freed
	src := SourceState{Pipeline: pub.Pipeline, Source: pub.Source, Incarnation: p.Incarnation(), W: p.W, CommitTime: p.CommitTime}
	p.Advance()
	s.ingest.Unlock()
	s.swap(version, touched, &src)
	s.notify()
	if s.opts.OnVisible != nil {
		s.opts.OnVisible(src)
	}
}

func (s *Store) tablesOf(pipeline string) []string {
	var out []string
	for name, t := range s.write.tables {
		if t.def.Pipeline == pipeline {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// applier applies one publication.
type applier struct {
	s       *Store
	pub     *ingest.Publication
	touched map[string]*tab
	txns    map[string]*table.Txn
	kept    map[*ingest.Staged][]*change.Batch // decoded, when several phases need them
	sel     []uint32
}

// applyAll applies a publication to the tables under a version, wholly or not at all.
func (s *Store) applyAll(pub *ingest.Publication, version uint64) (map[string]*tab, error) {
	a := &applier{s: s, pub: pub, touched: map[string]*tab{}, txns: map[string]*table.Txn{}}
	err := a.run()
	for name, x := range a.txns {
		if err != nil {
			x.Abort(version)
		} else {
			x.Commit(version)
		}
		s.write.txns[name] = x
	}
	return a.touched, err
}

func (a *applier) txn(name string) (*table.Txn, *tab) {
	t := a.s.write.tables[name]
	x := a.txns[name]
	if x == nil && t != nil {
		x = t.t.Begin(a.s.write.txns[name])
		a.txns[name], a.touched[name] = x, t
	}
	return x, t
}

func (a *applier) run() error {
	if a.pub.Takeover {
		a.takeover(a.pub.Pipeline)
		return nil
	}
	for _, sn := range a.pub.Snapshot {
		for name, t := range a.s.write.tables {
			if t.def.Pipeline == a.pub.Pipeline && t.def.Source == sn.Table {
				t.rowsDone, t.rowsTotal = sn.RowsDone, sn.RowsTotal
				a.touched[name] = t
			}
		}
	}
	moving := a.moving()
	if len(a.pub.Barriers) > 0 || moving {
		a.kept = map[*ingest.Staged][]*change.Batch{}
	}
	var moves []step
	if moving {
		var err error
		if moves, err = a.moves(); err != nil {
			return err
		}
	}
	from := schemas.EndOf(a.pub.Above)
	for _, st := range a.steps(moves) {
		if err := a.phase(from, st.after); err != nil {
			return err
		}
		if err := st.do(); err != nil {
			return err
		}
		from = st.after
	}
	return a.phase(from, schemas.EndOf(a.pub.To))
}

// step is done to whole tables, or needs them as they are, after a place.
type step struct {
	after schemas.Position
	do    func() error
}

// steps are the publication's TRUNCATEs, and the moves' looks at old keys, in order.
func (a *applier) steps(moves []step) []step {
	all := moves
	for _, b := range a.pub.Barriers {
		all = append(all, step{schemas.Position{LSN: b.LSN, Ordinal: b.Ordinal}, func() error {
			for _, name := range a.s.tablesOf(a.pub.Pipeline) {
				if a.s.write.tables[name].def.Source == b.Table {
					x, _ := a.txn(name)
					x.Truncate()
				}
			}
			return nil
		}})
	}
	slices.SortStableFunc(all, func(p, q step) int { return p.after.Compare(q.after) })
	return all
}

// takeover of a snapshot's epoch empties every table of the pipeline: the run
// brings all of it again.
func (a *applier) takeover(pipeline string) {
	if !a.pub.Reset {
		return
	}
	for _, name := range a.s.tablesOf(pipeline) {
		x, t := a.txn(name)
		x.Truncate()
		t.ready, t.rowsDone, t.rowsTotal = false, 0, 0
	}
}

// phase applies the changes after from up to and with to, load by load. The order
// between partitions does not matter: changes of one key share a partition, and what
// a move takes from another was looked up before.
func (a *applier) phase(from, to schemas.Position) error {
	for _, l := range a.pub.Loads {
		if !a.pub.Chunk && (l.Min > to.LSN || l.Max < from.LSN) {
			continue
		}
		batches, err := a.batches(l)
		if err != nil {
			return err
		}
		for _, b := range batches {
			rows := a.rows(b, from, to)
			if len(rows) == 0 {
				continue
			}
			x, _ := a.txn(b.Table.FullName())
			if err := x.Apply(b, rows); err != nil {
				return err
			}
			a.s.metrics.changes.Add(float64(len(rows)))
		}
	}
	return nil
}

// rows picks the rows of a batch within a phase.
func (a *applier) rows(b *change.Batch, from, to schemas.Position) []uint32 {
	a.sel = slices.Grow(a.sel[:0], b.Len())
	for i := range b.Len() {
		if at := b.At(i); a.pub.Chunk || from.Before(at) && !to.Before(at) {
			a.sel = append(a.sel, uint32(i))
		}
	}
	return a.sel
}

// batches decodes a staged load, from the load log when it was spilled.
func (a *applier) batches(l *ingest.Staged) ([]*change.Batch, error) {
	if done, ok := a.kept[l]; ok {
		return done, nil
	}
	encoded := l.Batches
	if encoded == nil {
		rec, err := a.s.reread(l)
		if err != nil {
			return nil, err
		}
		encoded = rec.Batches
	}
	out := make([]*change.Batch, 0, len(encoded))
	for i := range encoded {
		t := a.s.write.tables[encoded[i].Table]
		if t == nil {
			return nil, schemas.Errorf(schemas.CodeCorrupt, "XX001", "a load names table %s, which does not exist", encoded[i].Table)
		}
		b, err := encoded[i].Changes(t.def.Schema)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	if a.kept != nil {
		a.kept[l] = out
	}
	return out, nil
}

// reread fetches a spilled load from the log.
func (s *Store) reread(l *ingest.Staged) (*loadlog.Record, error) {
	r, err := s.log.NewReader(l.At)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := r.Next(context.WithoutCancel(s.ctx))
	if err != nil {
		return nil, err
	}
	rec, err := loadlog.Decode(slices.Clone(raw.Payload))
	if err == nil && (rec.From != l.From || rec.To != l.To) {
		err = schemas.Errorf(schemas.CodeCorrupt, "XX001", "the load log has another load at %s", l.At)
	}
	return rec, err
}
