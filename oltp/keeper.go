package oltp

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/schemas"
)

// keeper does background work: checkpoints when enough log was written or enough
// time went by, and truncation of the log when a checkpoint or a slot lets go of it.
type keeper struct {
	wake    chan struct{} // a checkpoint or a truncation may be due
	cancel  context.CancelFunc
	stopped chan struct{}
	asked   atomic.Uint64 // LSN from which the next checkpoint is due
	working sync.Mutex    // one checkpoint at a time
}

// slotCheckInterval is how often budgets of slots are looked at.
const slotCheckInterval = 5 * time.Second

func (k *keeper) start(db *DB) {
	ctx, cancel := context.WithCancel(context.Background())
	k.wake, k.cancel, k.stopped = make(chan struct{}, 1), cancel, make(chan struct{})
	k.asked.Store(db.engine.DurableLSN() + uint64(db.opts.CheckpointBytes))
	go k.run(ctx, db)
}

func (k *keeper) stop() {
	k.cancel()
	<-k.stopped
}

func (k *keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// noticeLogged is called for every commit.
func (db *DB) noticeLogged(lsn uint64) {
	if lsn >= db.keeper.asked.Load() {
		db.keeper.nudge()
	}
}

func (k *keeper) run(ctx context.Context, db *DB) {
	defer close(k.stopped)
	last := db.opts.Clock.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-db.opts.Clock.After(min(slotCheckInterval, db.opts.CheckpointInterval)):
		}
		now := db.opts.Clock.Now()
		due := db.applied.Load() >= k.asked.Load() || now.Sub(last) >= db.opts.CheckpointInterval
		if due && db.applied.Load() > db.engine.DurableLSN() {
			last = now
			if err := db.checkpoint(ctx); err != nil && ctx.Err() == nil {
				db.opts.Logger.Error("checkpoint failed; it will be tried again", "error", err)
			}
			k.asked.Store(db.applied.Load() + uint64(db.opts.CheckpointBytes))
		}
		db.slots.enforceBudget(db)
		if err := db.truncateLog(); err != nil {
			db.opts.Logger.Error("truncating the log failed; it will be tried again", "error", err)
		}
	}
}

// Checkpoint makes the engine's state durable, so that recovery replays only what
// commits later, and lets go of log that nothing needs.
func (db *DB) Checkpoint(ctx context.Context) error {
	if db.closing.Load() {
		return ErrClosed
	}
	return db.checkpoint(ctx)
}

func (db *DB) checkpoint(ctx context.Context) error {
	db.keeper.working.Lock()
	defer db.keeper.working.Unlock()
	lsn, err := db.engine.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	db.counters.checkpoints.Add(1)
	db.opts.Logger.Debug("checkpoint", "lsn", schemas.LSN(lsn).String())
	return db.truncateLog()
}

// truncateLog lets go of the log that neither recovery nor a slot needs.
func (db *DB) truncateLog() error {
	// The slots stay locked, so that none is made meanwhile below what is let go.
	db.slots.mu.Lock()
	defer db.slots.mu.Unlock()
	keep := schemas.LSN(db.engine.DurableLSN())
	for _, s := range db.slots.mu.byName {
		if s.Lost == "" {
			keep = min(keep, s.Confirmed)
		}
	}
	return db.log.TruncateBefore(keep)
}
