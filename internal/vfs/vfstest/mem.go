// Package vfstest gives tests a file system in memory that can crash, keeping
// only synced bytes, fill up, fail an fsync and lie about one.
package vfstest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"

	pebble "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/internal/vfs"
)

// Mem is a crashable file system in memory. Folders follow POSIX: an entry
// survives a crash only once its folder was synced.
type Mem struct{ fs *pebble.MemFS }

var _ vfs.FS = (*Mem)(nil)

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{fs: pebble.NewCrashableMem()} }

// CrashClone returns what a crash now would leave: every synced byte and, of
// each 4 KiB block and folder entry that was not, a share of percent in a
// hundred, drawn by seed. Open files of the original stay usable.
func (m *Mem) CrashClone(percent int, seed uint64) *Mem {
	cfg := pebble.CrashCloneCfg{UnsyncedDataPercent: percent}
	if percent > 0 {
		cfg.RNG = rand.New(rand.NewPCG(seed, uint64(percent)))
	}
	return &Mem{fs: m.fs.CrashClone(cfg)}
}

// Create implements vfs.FS.
func (m *Mem) Create(name string) (vfs.File, error) {
	f, err := m.fs.Create(name, "")
	return m.file(f, name, err)
}

// Open implements vfs.FS.
func (m *Mem) Open(name string) (vfs.File, error) {
	f, err := m.fs.Open(name)
	return m.file(f, name, err)
}

// OpenReadWrite implements vfs.FS.
func (m *Mem) OpenReadWrite(name string) (vfs.File, error) {
	if _, err := m.fs.Stat(name); err != nil {
		return nil, standard(err)
	}
	f, err := m.fs.OpenReadWrite(name, "")
	return m.file(f, name, err)
}

func (m *Mem) file(f pebble.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, standard(err)
	}
	return &memFile{File: f, fs: m.fs, name: name}, nil
}

// Remove implements vfs.FS.
func (m *Mem) Remove(name string) error { return standard(m.fs.Remove(name)) }

// RemoveAll implements vfs.FS.
func (m *Mem) RemoveAll(name string) error {
	err := m.fs.RemoveAll(name)
	if errors.Is(standard(err), fs.ErrNotExist) {
		return nil
	}
	return err
}

// Rename implements vfs.FS.
func (m *Mem) Rename(oldname, newname string) error { return standard(m.fs.Rename(oldname, newname)) }

// MkdirAll implements vfs.FS.
func (m *Mem) MkdirAll(dir string) error { return m.fs.MkdirAll(dir, 0o750) }

// List implements vfs.FS.
func (m *Mem) List(dir string) ([]string, error) {
	names, err := m.fs.List(dir)
	sort.Strings(names)
	return names, standard(err)
}

// Stat implements vfs.FS.
func (m *Mem) Stat(name string) (os.FileInfo, error) {
	info, err := m.fs.Stat(name)
	return info, standard(err)
}

// SyncDir implements vfs.FS.
func (m *Mem) SyncDir(dir string) error {
	d, err := m.fs.OpenDir(dir)
	if err != nil {
		return standard(err)
	}
	defer d.Close()
	return d.Sync()
}

// Lock implements vfs.FS. It needs no entry in the folder, so it can be taken
// again in a crash clone.
func (m *Mem) Lock(name string) (io.Closer, error) {
	l, err := m.fs.Lock(name)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w: %w", name, vfs.ErrLocked, err)
	}
	return l, nil
}

// Flip inverts one bit of a file's durable content.
func (m *Mem) Flip(name string, offset int64, bit uint) error {
	return m.edit(name, func(data []byte) []byte {
		data[offset] ^= 1 << (bit % 8)
		return data
	})
}

// Cut shortens a file's durable content to size bytes.
func (m *Mem) Cut(name string, size int64) error {
	return m.edit(name, func(data []byte) []byte { return data[:size] })
}

func (m *Mem) edit(name string, change func([]byte) []byte) error {
	data, err := vfs.ReadFile(m, name)
	if err != nil {
		return err
	}
	return vfs.WriteFile(m, name, change(data))
}

// standard makes errors.Is(err, fs.ErrNotExist) true for pebble's errors.
func standard(err error) error {
	if err != nil && os.IsNotExist(err) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

type memFile struct {
	pebble.File
	fs   *pebble.MemFS
	name string
}

func (f *memFile) Stat() (os.FileInfo, error) {
	info, err := f.File.Stat()
	return info, standard(err)
}

// Write copies, because pebble's file may change the slice it is given.
func (f *memFile) Write(p []byte) (int, error) { return f.File.Write(append([]byte(nil), p...)) }

// Truncate shrinks by making the file anew, so shrinking is durable only after
// SyncDir of the folder: stricter than a real file system.
func (f *memFile) Truncate(size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size > info.Size() {
		_, err := f.File.WriteAt([]byte{0}, size-1)
		return err
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); err != nil && n < len(data) {
		return err
	}
	g, err := f.fs.Create(filepath.Clean(f.name), "")
	if err != nil {
		return err
	}
	if _, err := g.WriteAt(data, 0); err != nil {
		return err
	}
	f.File, g = g, f.File
	return g.Close()
}
