package table

import (
	"sync"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/internal/vector"
)

// foldAt is how many log entries make a new base worth its copy.
const foldAt = 1024

// deletes are a chunk's deleted rows: those that every view sees in a bitmap, later
// ones in a log. It is published whole by a pointer; the log's array only grows
// past the length that earlier readers know.
type deletes struct {
	base    vector.Bitmap // deleted rows; nil: none
	visible vector.Bitmap // complement of base among the chunk's rows, to be lent
	rows    int           // that visible covers
	count   int           // rows in base
	log     []deletion    // ascending versions, all above those in base
}

type deletion struct {
	version uint64
	row     uint32
}

// total is how many rows are deleted, up to the newest version.
func (d *deletes) total() int { return d.count + len(d.log) }

// add appends rows deleted at a version.
func (d *deletes) add(version uint64, rows []uint32) *deletes {
	n := *d
	for _, r := range rows {
		n.log = append(n.log, deletion{version, r})
	}
	return &n
}

// upTo is how many log entries a view of a version sees.
func (d *deletes) upTo(version uint64) int {
	n := len(d.log)
	for n > 0 && d.log[n-1].version > version {
		n--
	}
	return n
}

// fold moves the entries that every view sees, up to oldest, into a new base.
func (d *deletes) fold(oldest uint64, rows int) *deletes {
	n := d.upTo(oldest)
	if n < foldAt {
		return d
	}
	return d.foldNow(n, rows)
}

func (d *deletes) foldNow(n, rows int) *deletes {
	if n == 0 {
		return d
	}
	base := vector.NewBitmap(column.MaxRows)
	copy(base, d.base)
	for _, e := range d.log[:n] {
		base.Set(int(e.row))
	}
	visible := vector.NewBitmap(rows)
	visible.Fill(rows)
	visible.AndNot(base)
	return &deletes{base: base, visible: visible, rows: rows, count: d.count + n, log: append([]deletion(nil), d.log[n:]...)}
}

// at returns the rows deleted at a version, in a bitmap of the caller's own, or nil.
func (d *deletes) at(version uint64) vector.Bitmap {
	n := d.upTo(version)
	if n == 0 && d.base == nil {
		return nil
	}
	out := vector.NewBitmap(column.MaxRows)
	copy(out, d.base)
	for _, e := range d.log[:n] {
		out.Set(int(e.row))
	}
	return out
}

var masks = sync.Pool{New: func() any { return new([column.MaxRows / 64]uint64) }}

// mask gives the visible ones of the first rows of a chunk at a version; nil when
// all are. release, when not nil, gives the bitmap back.
func (d *deletes) mask(version uint64, rows int) (visible vector.Bitmap, release func()) {
	n := d.upTo(version)
	if n == 0 && d.base == nil {
		return nil, nil
	}
	words := vector.Words(rows)
	if n == 0 && d.rows == rows {
		return d.visible, nil
	}
	buf := masks.Get().(*[column.MaxRows / 64]uint64)
	visible = vector.Bitmap(buf[:words])
	visible.Fill(rows)
	visible.AndNot(d.base)
	for _, e := range d.log[:n] {
		if int(e.row) < rows {
			visible.Clear(int(e.row))
		}
	}
	return visible, func() { masks.Put(buf) }
}
