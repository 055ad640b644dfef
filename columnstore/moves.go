package columnstore

import (
	"maps"
	"slices"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// touch is a change of a key, or of a move the look at its old key.
type touch struct {
	at    schemas.Position
	hash  uint64
	batch *change.Batch // of a move's insert
	row   int
}

// compare puts a look behind the change at its place: it must see it.
func (t touch) compare(u touch) int {
	if c := t.at.Compare(u.at); c != 0 || (t.batch == nil) == (u.batch == nil) {
		return c
	} else if t.batch == nil {
		return -1
	}
	return 1
}

// moving says whether rows come with an old key. Those of a first snapshot never do.
func (a *applier) moving() bool {
	return !a.pub.Chunk && slices.ContainsFunc(a.pub.Loads, func(l *ingest.Staged) bool { return l.Moves })
}

// moves are steps that look up the old rows of inserts under a new key that came
// without all their values (I5). The old key's changes are in another partition, so the
// look must be taken when everything before the move is applied and nothing after: a
// step lies just before the move's delete, which has the place before the insert's. One
// step looks for as many moves as it can: up to the first whose old key changed since.
func (a *applier) moves() ([]step, error) {
	touches, err := a.touches()
	if err != nil {
		return nil, err
	}
	var out []step
	for _, name := range slices.Sorted(maps.Keys(touches)) {
		out = append(out, a.looks(name, touches[name])...)
	}
	return out, nil
}

// touches lists what a publication does to the keys of tables with moves, in order.
func (a *applier) touches() (map[string][]touch, error) {
	moving := map[string]bool{}
	for _, l := range a.pub.Loads {
		if !l.Moves {
			continue
		}
		batches, err := a.batches(l)
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			if slices.Contains(b.Ops, change.Before) {
				moving[b.Table.FullName()] = true
			}
		}
	}
	out := map[string][]touch{}
	for _, l := range a.pub.Loads {
		batches, err := a.batches(l)
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			if name := b.Table.FullName(); moving[name] {
				out[name] = a.touchesOf(out[name], b)
			}
		}
	}
	for _, list := range out {
		slices.SortFunc(list, touch.compare)
	}
	return out, nil
}

func (a *applier) touchesOf(list []touch, b *change.Batch) []touch {
	x, _ := a.txn(b.Table.FullName())
	hashes := x.Hashes(b)
	for i, op := range b.Ops {
		at := b.At(i)
		switch {
		case at.LSN <= a.pub.Above || at.LSN > a.pub.To || op == change.Before:
		case b.Moved(i):
			list = append(list, touch{at: at.Previous().Previous(), hash: hashes[i-1], batch: b, row: i}, touch{at: at, hash: hashes[i]})
		default:
			list = append(list, touch{at: at, hash: hashes[i]})
		}
	}
	return list
}

// looks makes the steps of one table from its touches, which are in order.
func (a *applier) looks(name string, touches []touch) []step {
	var out []step
	var group []touch
	changed := map[uint64]bool{} // since the step of the group
	var after schemas.Position
	end := func() {
		if held := group; len(held) > 0 {
			out = append(out, step{after, func() error {
				x, _ := a.txn(name)
				for _, m := range held {
					if err := x.Hold(m.batch, m.row, m.hash); err != nil {
						return err
					}
				}
				return nil
			}})
		}
		group = nil
	}
	for _, t := range touches {
		if t.batch == nil {
			changed[t.hash] = true
			continue
		}
		if len(group) == 0 || changed[t.hash] {
			end()
			clear(changed)
			after = t.at
		}
		group = append(group, t)
	}
	end()
	return out
}
