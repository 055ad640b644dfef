package segment

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/millrace/millrace/internal/vfs"
)

// Pool is the segment files of a folder. Safe for concurrent use.
type Pool struct {
	FS  vfs.FS
	Dir string

	mu    sync.Mutex
	files map[string]*File
}

// Open returns the reader of a file, the same one for the same file.
func (p *Pool) Open(m *Meta) *File {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.files[m.File]; f != nil {
		return f
	}
	if p.files == nil {
		p.files = map[string]*File{}
	}
	f := Open(p.FS, p.Dir, m)
	p.files[m.File] = f
	return f
}

// Remove closes and deletes a file that nobody reads any more.
func (p *Pool) Remove(name string) error {
	p.mu.Lock()
	f := p.files[name]
	delete(p.files, name)
	p.mu.Unlock()
	var err error
	if f != nil {
		err = f.Close()
	}
	return errors.Join(err, p.FS.Remove(filepath.Join(p.Dir, name)))
}

// Close closes all files.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
