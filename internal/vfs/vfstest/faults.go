package vfstest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/millrace/millrace/internal/vfs"
)

// ErrInjected is wrapped by every failure that a test asked for, except a full
// disk, which is syscall.ENOSPC as on a real one.
var ErrInjected = errors.New("injected failure")

// Op is one operation about to happen on a Faults.
type Op struct {
	// Kind is create, write, sync, truncate, preallocate, remove, rename, mkdir,
	// syncdir or read.
	Kind string
	Name string
}

// Write says whether the operation can change what a crash leaves.
func (o Op) Write() bool { return o.Kind != "read" }

// Faults wraps a file system and makes it fail as told. Safe for concurrent use.
type Faults struct {
	fs vfs.FS
	mu struct {
		sync.Mutex
		room     int64 // bytes that may still be written
		syncs    int   // syncs until the one that fails, 0 for never
		readFail string
		lie      bool
		lost     map[int]bool   // files with pages that are clean in the kernel only
		ids      map[string]int // of files by their present name
		lastID   int
		hook     func(Op) error
	}
}

var _ vfs.FS = (*Faults)(nil)

// NewFaults wraps a file system; nothing fails yet.
func NewFaults(fsys vfs.FS) *Faults {
	f := &Faults{fs: fsys}
	f.mu.room = math.MaxInt64
	f.mu.lost, f.mu.ids = map[int]bool{}, map[string]int{}
	return f
}

// FillAfter makes writes fail with ENOSPC once files grew by n more bytes. A
// preallocation takes its bytes at once, and writes into it none. The write that
// does not fit writes what does, as a real disk may.
func (f *Faults) FillAfter(n int64) { f.set(func() { f.mu.room = n }) }

// Empty makes room again.
func (f *Faults) Empty() { f.FillAfter(math.MaxInt64) }

// FailSync makes the nth next Sync or SyncDir fail, and none after it. As with
// Linux, the kernel reports a lost page once and then calls it clean: later Syncs
// of the file succeed and do nothing until it is written again.
func (f *Faults) FailSync(n int) { f.set(func() { f.mu.syncs = n }) }

// FailReads makes reads of files whose name contains part fail; "" for none.
func (f *Faults) FailReads(part string) { f.set(func() { f.mu.readFail = part }) }

// Lie makes Sync of files report success without doing anything: the mutant
// that every test of durability must catch.
func (f *Faults) Lie(lie bool) { f.set(func() { f.mu.lie = lie }) }

// Hook is called before every operation, in the goroutine that asks for it and so by
// several at once; an error it returns is the operation's.
func (f *Faults) Hook(hook func(Op) error) { f.set(func() { f.mu.hook = hook }) }

func (f *Faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *Faults) before(kind, name string) error {
	f.mu.Lock()
	hook := f.mu.hook
	failRead := kind == "read" && f.mu.readFail != "" && strings.Contains(name, f.mu.readFail)
	f.mu.Unlock()
	if failRead {
		return fmt.Errorf("read %s: %w", name, ErrInjected)
	}
	if hook == nil {
		return nil
	}
	return hook(Op{Kind: kind, Name: name})
}

// sync says whether to sync at all, and with which error.
func (f *Faults) sync(name string, id int) (lie bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.syncs > 0 {
		if f.mu.syncs--; f.mu.syncs == 0 {
			f.mu.lost[id] = id > 0 // a folder's entries are not lost
			return false, fmt.Errorf("sync %s: %w", name, ErrInjected)
		}
	}
	return f.mu.lie || f.mu.lost[id], nil
}

func (f *Faults) take(n int64) (granted int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n <= f.mu.room {
		f.mu.room -= n
		return n, nil
	}
	granted, f.mu.room = f.mu.room, 0
	return granted, syscall.ENOSPC
}

// Create implements vfs.FS.
func (f *Faults) Create(name string) (vfs.File, error) {
	if err := f.before("create", name); err != nil {
		return nil, err
	}
	f.set(func() { delete(f.mu.ids, filepath.Clean(name)) })
	return f.named(name, f.fs.Create)
}

// Open implements vfs.FS.
func (f *Faults) Open(name string) (vfs.File, error) { return f.named(name, f.fs.Open) }

// OpenReadWrite implements vfs.FS.
func (f *Faults) OpenReadWrite(name string) (vfs.File, error) {
	return f.named(name, f.fs.OpenReadWrite)
}

func (f *Faults) named(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &faultFile{File: file, fs: f, name: name, id: f.id(name), size: info.Size()}, nil
}

// id identifies a file through renames.
func (f *Faults) id(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	if f.mu.ids[name] == 0 {
		f.mu.lastID++
		f.mu.ids[name] = f.mu.lastID
	}
	return f.mu.ids[name]
}

// Remove implements vfs.FS.
func (f *Faults) Remove(name string) error {
	if err := f.before("remove", name); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

// RemoveAll implements vfs.FS.
func (f *Faults) RemoveAll(name string) error {
	if err := f.before("remove", name); err != nil {
		return err
	}
	return f.fs.RemoveAll(name)
}

// Rename implements vfs.FS.
func (f *Faults) Rename(oldname, newname string) error {
	if err := f.before("rename", newname); err != nil {
		return err
	}
	id := f.id(oldname)
	f.set(func() {
		delete(f.mu.ids, filepath.Clean(oldname))
		f.mu.ids[filepath.Clean(newname)] = id
	})
	return f.fs.Rename(oldname, newname)
}

// MkdirAll implements vfs.FS.
func (f *Faults) MkdirAll(dir string) error {
	if err := f.before("mkdir", dir); err != nil {
		return err
	}
	return f.fs.MkdirAll(dir)
}

// List implements vfs.FS.
func (f *Faults) List(dir string) ([]string, error) { return f.fs.List(dir) }

// Stat implements vfs.FS.
func (f *Faults) Stat(name string) (os.FileInfo, error) { return f.fs.Stat(name) }

// SyncDir implements vfs.FS.
func (f *Faults) SyncDir(dir string) error {
	if err := f.before("syncdir", dir); err != nil {
		return err
	}
	if _, err := f.sync(dir, 0); err != nil {
		return err
	}
	return f.fs.SyncDir(dir)
}

// Lock implements vfs.FS.
func (f *Faults) Lock(name string) (io.Closer, error) { return f.fs.Lock(name) }

type faultFile struct {
	vfs.File
	fs   *Faults
	name string
	id   int
	mu   sync.Mutex
	pos  int64 // of Read and Write
	size int64 // up to which space is taken
}

func (f *faultFile) Read(p []byte) (int, error) {
	if err := f.fs.before("read", f.name); err != nil {
		return 0, err
	}
	n, err := f.File.Read(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pos += int64(n)
	return n, err
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.before("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.write(p, f.pos, f.File.Write)
	f.pos += int64(n)
	return n, err
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(p, off, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *faultFile) write(p []byte, off int64, write func([]byte) (int, error)) (int, error) {
	if err := f.fs.before("write", f.name); err != nil {
		return 0, err
	}
	f.fs.set(func() { delete(f.fs.mu.lost, f.id) })
	grow := max(0, off+int64(len(p))-max(f.size, off))
	granted, full := f.fs.take(grow)
	f.size += max(0, off-f.size) + granted
	n, err := write(p[:int64(len(p))-grow+granted])
	if err == nil && full != nil {
		err = fmt.Errorf("write %s: %w", f.name, full)
	}
	return n, err
}

func (f *faultFile) Sync() error {
	if err := f.fs.before("sync", f.name); err != nil {
		return err
	}
	lie, err := f.fs.sync(f.name, f.id)
	if lie || err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.fs.before("truncate", f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultFile) Preallocate(offset, length int64) error {
	if err := f.fs.before("preallocate", f.name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if grow := offset + length - f.size; grow > 0 {
		if _, err := f.fs.take(grow); err != nil {
			return fmt.Errorf("preallocate %s: %w", f.name, err)
		}
		f.size += grow
	}
	return f.File.Preallocate(offset, length)
}
