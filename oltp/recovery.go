package oltp

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/oltp/commitlog"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/schemas"
)

// recover brings the engine from its checkpoint to the end of the log. Applying
// is idempotent: a crash on the way leaves the checkpoint, and the same commits
// are applied at the same LSNs again.
func (db *DB) recover(checkpoint uint64) error {
	c, err := loadCatalog(db.engine, checkpoint)
	if err != nil {
		return err
	}
	r, err := db.log.NewReader(schemas.LSN(checkpoint))
	if err != nil {
		return err
	}
	defer r.Close()
	re := replay{engine: db.engine, catalog: c, applied: checkpoint, truncateBatch: db.opts.truncateBatch}
	commits := 0
	for ; ; commits++ {
		tx, err := r.TryNext()
		if err != nil {
			return err
		}
		if tx == nil {
			break
		}
		if err := re.apply(tx); err != nil {
			return fmt.Errorf("apply commit %s: %w", tx.LSN, err)
		}
		db.committer.lastTime = tx.Time
	}
	db.catalog.Store(re.catalog)
	// A renewed log goes on past its old end.
	db.applied.Store(max(re.applied, uint64(db.log.DurableLSN())))
	db.opts.Logger.Info("database recovered", "dir", db.opts.Dir, "checkpoint", schemas.LSN(checkpoint).String(),
		"end", db.log.DurableLSN().String(), "commits", commits)
	return nil
}

// replay applies commits from the log.
type replay struct {
	engine  kv.Engine
	catalog *catalog
	applied uint64
	tx      transaction
	arena   arena

	truncateBatch int
}

func (re *replay) apply(t *commitlog.Tx) error {
	re.tx.reset()
	re.arena = arena{}
	re.tx.parts = t.Parts()
	if err := t.Each(context.Background(), re.change); err != nil {
		return err
	}
	if err := applyTo(re.engine, re.applied, uint64(t.LSN), &re.tx, re.truncateBatch); err != nil {
		return err
	}
	re.applied = uint64(t.LSN)
	return nil
}

func (re *replay) change(c commitlog.Change) error {
	if c.Op == commitlog.Define {
		d, err := decodeDefinition(c.After)
		if err != nil {
			return err
		}
		re.catalog = re.catalog.with(d)
		re.put(catalogKey(d.ID), c.After)
		return nil
	}
	t := re.catalog.byID[c.Table]
	if t == nil {
		return fmt.Errorf("%w: change of table %d, which was not made before", commitlog.ErrRecord, c.Table)
	}
	if c.Op == commitlog.Truncate {
		re.tx.truncates = append(re.tx.truncates, t.id)
		return nil
	}
	image := c.After
	if c.Op == commitlog.Delete {
		image = c.Before
	}
	key, err := t.codec.KeyOf(nil, image)
	if err != nil {
		return err
	}
	re.put(key, c.After)
	return nil
}

// put adds an operation; a nil row is a deletion.
func (re *replay) put(key, row []byte) {
	op := kv.Op{Key: key}
	if row != nil {
		op.Value = re.arena.copy(row)
	}
	re.tx.ops = append(re.tx.ops, op)
}
