package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/wal"
	"github.com/millrace/millrace/schemas"
)

const version = 1

// Options configure a manifest.
type Options struct {
	FS     vfs.FS
	Clock  clock.Clock
	Logger *slog.Logger
	// NewHistory names the history of a new warehouse.
	NewHistory func() string
	// SnapshotBytes is how many bytes of edits make a snapshot worth writing. 0 is 1 MiB.
	SnapshotBytes int64
}

// Manifest is an open manifest. Safe for concurrent use.
type Manifest struct {
	opts Options
	log  *wal.Log
	mu   struct {
		sync.Mutex
		state    *State
		since    int64 // bytes of edits after the last snapshot
		snapshot int64 // bytes of the last snapshot
	}
}

// Open reads the manifest in a folder, or makes one. A damaged record is
// CodeCorrupt (I8), an unknown version CodeUnsupported.
func Open(dir string, o Options) (*Manifest, error) {
	if o.SnapshotBytes == 0 {
		o.SnapshotBytes = 1 << 20
	}
	log, err := wal.Open(dir, wal.Options{FS: o.FS, Clock: o.Clock, Logger: o.Logger, SegmentBytes: 1 << 20, Recycle: -1})
	if err != nil {
		return nil, err
	}
	m := &Manifest{opts: o, log: log}
	if err := m.read(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return m, nil
}

func (m *Manifest) read() error {
	r, err := m.log.NewReader(m.log.OldestLSN())
	if err != nil {
		return err
	}
	defer r.Close()
	records := 0
	for {
		rec, ok, err := r.TryNext()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		records++
		e, err := decode(rec.Payload)
		if err != nil {
			return err
		}
		if e.State != nil {
			m.mu.state, m.mu.snapshot, m.mu.since = newState(), int64(len(rec.Payload)), 0
		}
		if m.mu.state != nil { // edits before the first whole state were released
			m.mu.state.apply(e)
			m.mu.since += int64(len(rec.Payload))
		}
	}
	if m.mu.state != nil {
		return nil
	}
	if records > 0 {
		return corrupt(errors.New("no record holds the whole state"))
	}
	m.mu.state = newState()
	m.mu.state.History = m.opts.NewHistory()
	return m.writeSnapshot()
}

func decode(payload []byte) (*Edit, error) {
	if len(payload) == 0 {
		return nil, corrupt(errors.New("empty record"))
	}
	if payload[0] != version {
		return nil, schemas.Errorf(schemas.CodeUnsupported, "0A000", "manifest format %d; this program reads format %d", payload[0], version)
	}
	e := &Edit{}
	if err := json.Unmarshal(payload[1:], e); err != nil {
		return nil, corrupt(err)
	}
	return e, nil
}

func corrupt(err error) error {
	return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: "read manifest", Err: err,
		Hint: "restore the data folder from a backup, or resync from the source"}
}

// Read calls f with what the edits so far say. f only reads it, and keeps nothing
// but the parts that edits replace and never change: descriptions of segments,
// controls and tables' data.
func (m *Manifest) Read(f func(*State)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.mu.state)
}

// State returns what the edits so far say. The caller only reads it, and only
// before anybody commits an edit.
func (m *Manifest) State() *State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.state
}

// Commit makes an edit durable (I1). When it fails, the edit may or may not be
// there after a restart, and none after it is accepted if the disk failed.
func (m *Manifest) Commit(e *Edit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.append(e)
	if err != nil {
		return err
	}
	m.mu.state.apply(e)
	m.mu.since += n
	if m.mu.since > max(m.opts.SnapshotBytes, 4*m.mu.snapshot) {
		// The edit is durable already; a snapshot that fails is tried again later.
		if err := m.writeSnapshot(); err != nil && m.opts.Logger != nil {
			m.opts.Logger.Warn("manifest snapshot failed", "error", err)
		}
	}
	return nil
}

func (m *Manifest) append(e *Edit) (int64, error) {
	_, n, err := m.write(e)
	return n, err
}

func (m *Manifest) write(e *Edit) (start schemas.LSN, n int64, err error) {
	body, err := json.Marshal(e)
	if err != nil {
		return 0, 0, fmt.Errorf("encode manifest edit: %w", err)
	}
	start, end, err := m.log.Append(append([]byte{version}, body...))
	if err == nil {
		err = m.log.WaitDurable(context.Background(), end)
	}
	return start, int64(len(body)), vfs.Typed("write manifest", err)
}

func (m *Manifest) writeSnapshot() error {
	start, n, err := m.write(&Edit{State: m.mu.state})
	if err != nil {
		return err
	}
	m.mu.snapshot, m.mu.since = n, 0
	return m.log.TruncateBefore(start)
}

// Close closes the log.
func (m *Manifest) Close() error { return m.log.Close() }
