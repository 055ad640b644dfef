package oltp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/schemas"
)

// slots are the replication slots: each holds the log after the LSN up to which its
// reader has everything durable.
type slots struct {
	file string
	mu   struct {
		sync.Mutex
		byName map[string]*slot
		closed bool
	}
}

type slot struct {
	Name      string      `json:"name"`
	LogID     string      `json:"log_id"`
	Confirmed schemas.LSN `json:"confirmed"`
	Time      int64       `json:"time"` // of the last confirmation, µs since 1970 UTC
	// Lost says why the slot's log is gone; "" while it is there.
	Lost string `json:"lost,omitempty"`
	over bool   // over budget, and said so
}

// SlotInfo is a replication slot as seen from outside.
type SlotInfo struct {
	Name      string      `json:"name"`
	Confirmed schemas.LSN `json:"confirmed"`
	// HeldBytes is the log after Confirmed.
	HeldBytes int64 `json:"held_bytes"`
	// Age is the time since the last confirmation.
	Age time.Duration `json:"age_ns"`
	// State is "ok", "over_budget" or "lost"; Reason says why it was lost.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// CreateSlot makes a slot that holds everything after the present durable LSN,
// which it returns, durably. It fails with CodeConstraint and 42710 when there
// is one of that name.
func (db *DB) CreateSlot(ctx context.Context, name string) (schemas.LSN, error) {
	if name == "" || len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		e := schemas.Errorf(schemas.CodeInvalid, "42602", "%q cannot be the name of a slot", name)
		e.Hint = "use up to 63 lower-case letters, digits and underscores"
		return 0, e
	}
	if err := ctx.Err(); err != nil {
		return 0, canceled(context.Cause(ctx))
	}
	s := &db.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.byName[name] != nil {
		return 0, schemas.Errorf(schemas.CodeConstraint, "42710", "replication slot %q exists already", name)
	}
	made := &slot{Name: name, LogID: db.LogID(), Confirmed: db.DurableLSN(), Time: db.opts.Clock.Now().UnixMicro()}
	s.mu.byName[name] = made
	if err := s.save(db); err != nil {
		delete(s.mu.byName, name)
		return 0, err
	}
	return made.Confirmed, nil
}

// ConfirmSlot lets the log go up to an LSN, durably (I1). An LSN at or before the
// confirmed one changes nothing. It fails with source_error when the slot's log was
// lost, and with not_found when there is no such slot.
func (db *DB) ConfirmSlot(ctx context.Context, name string, lsn schemas.LSN) error {
	if err := ctx.Err(); err != nil {
		return canceled(context.Cause(ctx))
	}
	if err := db.confirmSlot(name, lsn); err != nil {
		return err
	}
	db.keeper.nudge()
	return nil
}

func (db *DB) confirmSlot(name string, lsn schemas.LSN) error {
	s := &db.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	sl, err := s.get(name)
	if err != nil {
		return err
	}
	if end := db.DurableLSN(); lsn > end {
		return schemas.Errorf(schemas.CodeInvalid, "22023", "replication slot %q cannot be confirmed to %s: the log ends at %s", name, lsn, end)
	}
	was := *sl
	sl.Time = db.opts.Clock.Now().UnixMicro()
	if lsn <= sl.Confirmed {
		return nil
	}
	sl.Confirmed, sl.over = lsn, false
	if err := s.save(db); err != nil {
		*sl = was
		return err
	}
	return nil
}

// DropSlot removes a slot, durably. It fails with not_found when there is none.
func (db *DB) DropSlot(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return canceled(context.Cause(ctx))
	}
	s := &db.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.mu.byName[name]
	if sl == nil {
		return noSlot(name)
	}
	delete(s.mu.byName, name)
	if err := s.save(db); err != nil {
		s.mu.byName[name] = sl
		return err
	}
	db.keeper.nudge()
	return nil
}

// SlotLSN returns the LSN up to which a slot is confirmed. It fails like ConfirmSlot.
func (db *DB) SlotLSN(name string) (schemas.LSN, error) {
	s := &db.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	sl, err := s.get(name)
	if err != nil {
		return 0, err
	}
	return sl.Confirmed, nil
}

// Slots lists the replication slots by name.
func (db *DB) Slots() []SlotInfo {
	s := &db.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	end, now := db.DurableLSN(), db.opts.Clock.Now().UnixMicro()
	var list []SlotInfo
	for _, sl := range s.mu.byName {
		info := SlotInfo{Name: sl.Name, Confirmed: sl.Confirmed, State: "ok", Reason: sl.Lost,
			Age: time.Duration(now-sl.Time) * time.Microsecond}
		switch {
		case sl.Lost != "":
			info.State = "lost"
		case sl.over:
			info.State = "over_budget"
		}
		if sl.Lost == "" {
			info.HeldBytes = int64(end - min(end, sl.Confirmed))
		}
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b SlotInfo) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func noSlot(name string) error {
	return schemas.Errorf(schemas.CodeNotFound, "42704", "replication slot %q does not exist", name)
}

// get returns a slot whose log is there, of an open database. It needs mu.
func (s *slots) get(name string) (*slot, error) {
	sl := s.mu.byName[name]
	switch {
	case s.mu.closed:
		return nil, ErrClosed
	case sl == nil:
		return nil, noSlot(name)
	case sl.Lost != "":
		return nil, lostSlot(name, sl.Lost)
	}
	return sl, nil
}

func (s *slots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
}

// confirmed is the greatest LSN that a slot's reader was told is durable.
func (s *slots) confirmed() (lsn schemas.LSN) {
	for _, sl := range s.mu.byName {
		if sl.Lost == "" {
			lsn = max(lsn, sl.Confirmed)
		}
	}
	return lsn
}

// check marks the slots lost that the opened log cannot serve.
func (s *slots) check(db *DB) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for _, sl := range s.mu.byName {
		switch {
		case sl.Lost != "":
			continue
		case sl.LogID != db.LogID():
			s.lose(db, sl, "the log has a new identity: acknowledged commits were lost by the disk")
		case sl.Confirmed < db.log.OldestLSN():
			s.lose(db, sl, fmt.Sprintf("the log begins at %s, after the confirmed %s", db.log.OldestLSN(), sl.Confirmed))
		default:
			continue
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return s.save(db)
}

func (s *slots) lose(db *DB, sl *slot, why string) {
	sl.Lost = why
	db.opts.Logger.Error("replication slot is lost; its reader must resync", "slot", sl.Name, "confirmed", sl.Confirmed.String(), "reason", why)
}

// enforceBudget applies the declared policy to slots that hold too much log (I6).
func (s *slots) enforceBudget(db *DB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	for _, sl := range s.mu.byName {
		why := sl.overBudget(db)
		switch {
		case sl.Lost != "" || why == "":
			sl.over = false
		case db.opts.SlotPolicy == SlotLose:
			s.lose(db, sl, why)
			changed = true
		case !sl.over:
			sl.over = true
			db.opts.Logger.Warn("replication slot is over its budget and holds the log", "slot", sl.Name, "reason", why)
		}
	}
	if !changed {
		return
	}
	if err := s.save(db); err != nil {
		db.opts.Logger.Error("saving replication slots failed", "error", err)
	}
}

func (sl *slot) overBudget(db *DB) string {
	end := db.DurableLSN()
	if sl.Confirmed >= end {
		return ""
	}
	if held, limit := int64(end-sl.Confirmed), db.opts.SlotMaxBytes; limit > 0 && held > limit {
		return fmt.Sprintf("it held %d bytes of log, its budget is %d", held, limit)
	}
	age := time.Duration(db.opts.Clock.Now().UnixMicro()-sl.Time) * time.Microsecond
	if limit := db.opts.SlotMaxAge; limit > 0 && age > limit {
		return fmt.Sprintf("it confirmed nothing for %s, its budget is %s", age, limit)
	}
	return ""
}
