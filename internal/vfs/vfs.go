// Package vfs is the file system as Millrace sees it: the few operations that
// durable state needs, behind an interface so that tests can crash it at every
// operation, keep only synced bytes, fill the disk and fail an fsync.
package vfs

import (
	"io"
	"os"
)

// File is an open file. ReadAt is safe for concurrent use; everything else has
// one owner at a time.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	// Sync makes the file's data and size durable (fdatasync where the
	// platform has it). After an error the state of earlier writes is unknown:
	// the caller acknowledges nothing more and recovers from disk (I1, I10).
	Sync() error
	// Preallocate reserves length bytes from offset without changing what is
	// read from the bytes already written. It may do nothing.
	Preallocate(offset, length int64) error
	// Truncate sets the size in bytes.
	Truncate(size int64) error
	// Stat returns name and size.
	Stat() (os.FileInfo, error)
}

// FS is a tree of files. Paths use the separator of the operating system.
// Errors wrap fs.ErrNotExist, fs.ErrExist, syscall.ENOSPC and the like, so that
// errors.Is works on them.
type FS interface {
	// Create makes an empty file for reading and writing, replacing one of that name.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing.
	OpenReadWrite(name string) (File, error)
	// Remove deletes a file or an empty folder; RemoveAll a whole tree.
	Remove(name string) error
	RemoveAll(name string) error
	// Rename replaces newname atomically. Durable after SyncDir of the folder.
	Rename(oldname, newname string) error
	// MkdirAll makes a folder and its parents.
	MkdirAll(dir string) error
	// List returns the base names in a folder, sorted.
	List(dir string) ([]string, error)
	// Stat returns a file's name and size.
	Stat(name string) (os.FileInfo, error)
	// SyncDir makes creations, removals and renames in a folder durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a file, made when missing. It fails at
	// once with ErrLocked when another process holds it. Close releases it.
	Lock(name string) (io.Closer, error)
}
