package oltp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

// format is the FORMAT file: one line of JSON that says what a folder is.
type format struct {
	Magic   string `json:"magic"`
	Version int    `json:"version"`
	Engine  string `json:"engine"`
}

const (
	formatMagic   = "millrace-oltp"
	formatVersion = 1
)

// openFormat reads a folder's FORMAT, or writes it into a new folder. The engine is
// the one asked for; "" is the folder's own, or the default one.
func openFormat(fsys vfs.FS, dir, engine string) (format, error) {
	name := filepath.Join(dir, "FORMAT")
	data, err := vfs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return newFormat(fsys, dir, engine)
	}
	if err != nil {
		return format{}, err
	}
	var f format
	if err := json.Unmarshal(data, &f); err != nil || f.Magic != formatMagic {
		return f, schemas.Errorf(schemas.CodeInvalid, "", "%s does not describe an oltp database", name)
	}
	if f.Version != formatVersion {
		return f, schemas.Errorf(schemas.CodeUnsupported, "0A000", "%s is of oltp format %d; this program reads format %d", dir, f.Version, formatVersion)
	}
	if engine != "" && engine != f.Engine {
		e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "%s was made with storage engine %q, not %q", dir, f.Engine, engine)
		e.Hint = "leave the engine out, or use another data folder"
		return f, e
	}
	return f, nil
}

func newFormat(fsys vfs.FS, dir, engine string) (format, error) {
	if engine == "" {
		engine = defaultEngine
	}
	f := format{Magic: formatMagic, Version: formatVersion, Engine: engine}
	if _, err := fsys.Stat(filepath.Join(dir, "log")); err == nil {
		return f, schemas.Errorf(schemas.CodeCorrupt, "XX001", "%s holds a log but no FORMAT file", dir)
	}
	data, err := json.Marshal(f)
	if err != nil {
		return f, fmt.Errorf("encode FORMAT: %w", err)
	}
	return f, vfs.WriteFile(fsys, filepath.Join(dir, "FORMAT"), append(data, '\n'))
}
