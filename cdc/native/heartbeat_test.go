package native_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc/native"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// ticking is a clock that goes on whenever somebody looks.
type ticking struct{ now time.Time }

func (c *ticking) Now() time.Time {
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *ticking) After(time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

// idleDatabase has nothing to read, and remembers when it was asked last.
type idleDatabase struct {
	clock *ticking
	asked time.Time
}

func (*idleDatabase) LogID() string                                           { return "id" }
func (*idleDatabase) DurableLSN() schemas.LSN                                 { return 7 }
func (*idleDatabase) Tables() []*schemas.Table                                { return nil }
func (*idleDatabase) CreateSlot(context.Context, string) (schemas.LSN, error) { return 7, nil }
func (*idleDatabase) DropSlot(context.Context, string) error                  { return nil }
func (*idleDatabase) SlotLSN(string) (schemas.LSN, error)                     { return 7, nil }
func (*idleDatabase) ConfirmSlot(context.Context, string, schemas.LSN) error  { return nil }
func (d *idleDatabase) ReadLog(schemas.LSN) (*idleDatabase, error)            { return d, nil }
func (*idleDatabase) Snapshot(context.Context) (idleSnapshot, error)          { return idleSnapshot{}, nil }
func (*idleDatabase) Close() error                                            { return nil }
func (d *idleDatabase) TryNext() (lsn schemas.LSN, at int64, ok bool, err error) {
	d.asked = d.clock.now
	return
}
func (*idleDatabase) Wait(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
func (*idleDatabase) Changes(context.Context, func(*schemas.Table) (*change.Batch, bool, error), func(load.Barrier) error, func(*schemas.Table) error) error {
	return nil
}

type idleSnapshot struct{}

func (idleSnapshot) LSN() schemas.LSN { return 7 }
func (idleSnapshot) Close()           {}
func (idleSnapshot) Copy(context.Context, string, int, func(*change.Batch) error) error {
	return nil
}

// TestHeartbeatsAreNeverAhead demands that the time of a heartbeat is not after the
// moment at which the log was found empty: a commit may have been acknowledged since.
func TestHeartbeatsAreNeverAhead(t *testing.T) {
	clock := &ticking{now: time.UnixMicro(1)}
	db := &idleDatabase{clock: clock}
	src, err := native.New(db, native.Options{Slot: "s", Clock: clock})
	require.NoError(t, err)
	beats := 0
	err = src.Stream(ctx, 7, progressFunc(func(to schemas.LSN, micros int64) error {
		require.EqualValues(t, 7, to)
		require.LessOrEqual(t, micros, db.asked.UnixMicro())
		if beats++; beats == 5 {
			return errStop
		}
		return nil
	}))
	require.ErrorIs(t, err, errStop)
}

type progressFunc func(schemas.LSN, int64) error

func (progressFunc) Changes(context.Context, *change.Batch) error { return nil }
func (progressFunc) Barrier(context.Context, load.Barrier) error  { return nil }
func (f progressFunc) Progress(_ context.Context, to schemas.LSN, micros int64) error {
	return f(to, micros)
}
