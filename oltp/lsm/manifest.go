package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/sstable"
	"github.com/millrace/millrace/schemas"
)

// tableInfo describes a table in the manifest.
type tableInfo struct {
	id             uint64
	size           int64
	entries        int64
	tombstones     int64
	minLSN, maxLSN uint64
	minKey, maxKey []byte
}

func infoOf(id uint64, size int64, p sstable.Properties) tableInfo {
	return tableInfo{id: id, size: size, entries: p.Entries, tombstones: p.Tombstones,
		minLSN: p.MinLSN, maxLSN: p.MaxLSN, minKey: p.MinKey, maxKey: p.MaxKey}
}

func (t tableInfo) equal(u tableInfo) bool { return bytes.Equal(t.append(nil), u.append(nil)) }

func (t tableInfo) append(b []byte) []byte {
	for _, v := range []uint64{t.id, uint64(t.size), uint64(t.entries), uint64(t.tombstones), t.minLSN, t.maxLSN} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(t.minKey)))
	b = append(b, t.minKey...)
	b = binary.AppendUvarint(b, uint64(len(t.maxKey)))
	return append(b, t.maxKey...)
}

// placed is a table and its level.
type placed struct {
	tableInfo
	level int
}

// manifest is everything that the tree's files do not say themselves. It is
// written whole, atomically, with each change, so there is no torn tail to tell
// from damage: a manifest that does not hold is corrupt.
type manifest struct {
	nextFile uint64
	durable  uint64 // replay of the log starts after it
	horizon  uint64 // versions that only older readers saw may be gone
	tables   []placed
}

const (
	manifestMagic   = "MILLRLSM"
	manifestVersion = 1
	manifestHeader  = 16
	manifestName    = "MANIFEST"
)

func (m manifest) encode() []byte {
	b := append([]byte(nil), manifestMagic...)
	b = binary.LittleEndian.AppendUint32(b, manifestVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	for _, v := range []uint64{m.nextFile, m.durable, m.horizon, uint64(len(m.tables))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, t := range m.tables {
		b = t.append(append(b, byte(t.level)))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func decodeManifest(b []byte) (m manifest, err error) {
	if len(b) < manifestHeader+4 || string(b[:8]) != manifestMagic {
		return m, fmt.Errorf("%w: not a manifest", kv.ErrCorrupt)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return m, fmt.Errorf("%w: manifest checksum", kv.ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != manifestVersion {
		return m, schemas.Errorf(schemas.CodeUnsupported, "0A000", "lsm manifest format %d; this program reads format %d", v, manifestVersion)
	}
	d := decoder{b: body[manifestHeader:]}
	m.nextFile, m.durable, m.horizon = d.uvarint(), d.uvarint(), d.uvarint()
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		m.tables = append(m.tables, d.table())
	}
	if d.bad || len(d.b) > 0 {
		return m, fmt.Errorf("%w: manifest structure", kv.ErrCorrupt)
	}
	return m, nil
}

// decoder reads a manifest's fields and remembers a failure.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) table() (t placed) {
	if level := d.take(1); len(level) == 1 {
		t.level = int(level[0])
	}
	if t.level >= numLevels {
		d.bad = true
		return t
	}
	t.id, t.size, t.entries, t.tombstones = d.uvarint(), int64(d.uvarint()), int64(d.uvarint()), int64(d.uvarint())
	t.minLSN, t.maxLSN = d.uvarint(), d.uvarint()
	t.minKey = d.take(d.uvarint())
	t.maxKey = d.take(d.uvarint())
	return t
}

// openManifest reads the manifest, making an empty one in a new folder. It stands
// before the first table, so tables without a manifest are damage.
func openManifest(fsys vfs.FS, dir string) (manifest, error) {
	m, err := readManifest(fsys, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	if err := noTables(fsys, dir); err != nil {
		return m, err
	}
	m = manifest{nextFile: 1}
	return m, vfs.WriteFile(fsys, filepath.Join(dir, manifestName), m.encode())
}

func readManifest(fsys vfs.FS, dir string) (manifest, error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(dir, manifestName))
	if err != nil {
		return manifest{}, err
	}
	return decodeManifest(b)
}

func noTables(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if filepath.Ext(name) == tableSuffix {
			return fmt.Errorf("%w: %s has tables but no manifest", kv.ErrCorrupt, dir)
		}
	}
	return nil
}

// edit is a change of the levels.
type edit struct {
	add     [numLevels][]*table
	remove  map[*table]bool
	durable uint64 // new durable LSN; 0 leaves it
	horizon uint64 // up to which versions were dropped; 0 for none
}

// install makes a change durable, then visible. The caller holds edits. After an
// error the manifest on disk may be the old or the new one, so neither's tables
// are deleted. A flush takes away the oldest memtable.
func (e *Engine) install(ed edit, flush bool) error {
	// The tables' names must be durable before a manifest that names them.
	if err := e.opts.FS.SyncDir(e.dir); err != nil {
		return fmt.Errorf("sync folder %s: %w", e.dir, err)
	}
	l := ed.applyTo(e.current.Load().levels)
	if err := l.check(); err != nil {
		return err
	}
	m := e.manifestOf(l, ed)
	data := m.encode()
	if err := vfs.WriteFile(e.opts.FS, filepath.Join(e.dir, manifestName), data); err != nil {
		return err
	}
	e.stats.written.Add(int64(len(data)))
	e.dropped = m.horizon
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.current.Load()
	imms := old.imms
	if flush {
		imms = imms[: len(imms)-1 : len(imms)-1]
	}
	next := e.newState(old.mem, imms, l)
	for t := range ed.remove {
		t.obsolete.Store(!l.has(t))
	}
	e.durable.Store(m.durable)
	e.replace(next)
	return nil
}

func (l *levels) has(t *table) bool {
	for _, tables := range l {
		for _, u := range tables {
			if t == u {
				return true
			}
		}
	}
	return false
}

func (ed edit) applyTo(old levels) (l levels) {
	for level, tables := range old {
		for _, t := range tables {
			if !ed.remove[t] {
				l[level] = append(l[level], t)
			}
		}
		l[level] = append(l[level], ed.add[level]...)
	}
	return l
}

func (e *Engine) manifestOf(l levels, ed edit) manifest {
	m := manifest{nextFile: e.nextFile.Load(), durable: max(e.durable.Load(), ed.durable)}
	m.horizon = max(e.dropped, ed.horizon)
	for level, tables := range l {
		for _, t := range tables {
			m.tables = append(m.tables, placed{t.tableInfo, level})
		}
	}
	return m
}
