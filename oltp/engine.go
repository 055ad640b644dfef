package oltp

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm"
	"github.com/millrace/millrace/schemas"
)

// engineOptions is what every engine is opened with.
type engineOptions struct {
	FS          vfs.FS
	Clock       clock.Clock
	Logger      *slog.Logger
	MemoryBytes int64
	// Durable returns once the commit log is durable up to an LSN. The engine calls
	// it before it makes what it was given up to that LSN durable.
	Durable func(ctx context.Context, lsn uint64) error
}

type engineOpener func(dir string, o engineOptions) (kv.Engine, error)

// defaultEngine is the engine of a new database that names none.
const defaultEngine = "lsm"

func engines() map[string]engineOpener { return map[string]engineOpener{"lsm": openLSM} }

// Engines names the storage engines there are.
func Engines() []string {
	var names []string
	for name := range engines() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func engineNamed(name string) (engineOpener, error) {
	if open := engines()[name]; open != nil {
		return open, nil
	}
	e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "there is no storage engine %q", name)
	e.Hint = "engines: " + strings.Join(Engines(), ", ")
	return nil, e
}

// openLSM splits the memory between three memtables and the cache.
func openLSM(dir string, o engineOptions) (kv.Engine, error) {
	memtable := min(64<<20, o.MemoryBytes/6)
	e, err := lsm.Open(dir, lsm.Options{FS: o.FS, Clock: o.Clock, Logger: o.Logger, WaitLog: o.Durable,
		MemtableBytes: int(memtable), CacheBytes: int(o.MemoryBytes - 3*memtable)})
	if err != nil {
		return nil, err
	}
	return e, nil
}
