package arrowipc

import (
	"fmt"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// Resolve finds the table a frame names, with exactly this version of its schema.
// Its error is returned as it is.
type Resolve func(fullName string, version uint32) (*schemas.Table, error)

// Decode reads a frame that takes all of data. The batch keeps nothing of data.
// Bytes that are no frame are an error of code corrupt (I8), never a panic.
func Decode(data []byte, resolve Resolve) (*change.Batch, error) {
	b, rest, err := DecodeNext(data, resolve)
	if err == nil && len(rest) > 0 {
		return nil, corrupt("%d bytes follow the batch", len(rest))
	}
	return b, err
}

// DecodeNext reads the frame that data begins with and returns what follows it.
func DecodeNext(data []byte, resolve Resolve) (b *change.Batch, rest []byte, err error) {
	frame, rest, err := split(data)
	if err != nil {
		return nil, nil, err
	}
	d := decoder{frame: frame}
	if err := d.header(resolve); err != nil {
		return nil, nil, err
	}
	if err := d.message(); err != nil {
		return nil, nil, err
	}
	if b, err = d.columns(); err != nil {
		return nil, nil, err
	}
	return b, rest, nil
}

func corrupt(format string, args ...any) error {
	return schemas.Errorf(schemas.CodeCorrupt, "XX001", "change batch: "+format, args...)
}

// split checks magic, version and length.
func split(data []byte) (frame, rest []byte, err error) {
	if len(data) < headerLen {
		return nil, nil, corrupt("%d bytes are too few", len(data))
	}
	if data[0] != magic0 || data[1] != magic1 {
		return nil, nil, corrupt("begins with % x", data[:2])
	}
	if data[2] != version || data[3] != 0 {
		return nil, nil, corrupt("format version %d, this program reads version %d", data[2], version)
	}
	n := uint64(le.Uint32(data[4:])) + 8
	if n < headerLen || n > uint64(len(data)) {
		return nil, nil, corrupt("length %d of %d bytes", n, len(data))
	}
	return data[:n], data[n:], nil
}

// decoder reads one frame.
type decoder struct {
	frame   []byte
	table   *schemas.Table
	rows    int
	base    schemas.LSN
	lsnPhys physical
	ordPhys physical
	cols    []column
	at      int // place in frame

	nodes   []byte // 16 bytes each
	buffers []byte
	body    []byte
}

var unsignedWidths = map[byte]physical{1: physInt8, 2: physInt16, 4: physInt32, 8: physInt64}

// header reads the frame up to the Arrow message.
func (d *decoder) header(resolve Resolve) error {
	f := d.frame
	tableVersion, rows := le.Uint32(f[8:]), le.Uint32(f[12:])
	d.base = schemas.LSN(le.Uint64(f[16:]))
	d.lsnPhys, d.ordPhys = unsignedWidths[f[24]], unsignedWidths[f[25]]
	if d.lsnPhys == 0 || d.ordPhys == 0 || d.ordPhys == physInt64 || uint64(rows) > uint64(len(f)) {
		return corrupt("positions of width %d and %d, %d rows", f[24], f[25], rows)
	}
	d.rows = int(rows)
	ncols, nameEnd := int(le.Uint16(f[26:])), headerLen+int(le.Uint16(f[28:]))
	d.at = nameEnd + ncols*columnLen
	if pad8(d.at) > len(f) {
		return corrupt("the frame ends within its header")
	}
	t, err := resolve(string(f[headerLen:nameEnd]), tableVersion)
	if err != nil {
		return err
	}
	if len(t.Columns) != ncols {
		return corrupt("%d columns for table %s with %d", ncols, t.FullName(), len(t.Columns))
	}
	d.table, d.cols = t, make([]column, ncols)
	for i := range d.cols {
		p := f[nameEnd+i*columnLen:]
		c := column{phys: physical(p[0]), flags: p[1], scale: int16(le.Uint16(p[2:]))}
		if !c.phys.holds(t.Columns[i].Type.Kind.Layout()) || c.flags&^(flagAbsent|flagDisplay) != 0 {
			return corrupt("column %s of %s held as %d with flags %d", t.Columns[i].Name, t.FullName(), c.phys, c.flags)
		}
		if c.flags&flagDisplay != 0 && (t.Columns[i].Type.Kind != schemas.Numeric || c.phys == physBinary) {
			return corrupt("column %s of %s has display scales", t.Columns[i].Name, t.FullName())
		}
		d.cols[i] = c
	}
	d.at = pad8(d.at)
	return nil
}

// message checks the Arrow message and finds its parts.
func (d *decoder) message() error {
	nodes, buffers := 3, 6
	for _, c := range d.cols {
		n, m := c.nodesAndBuffers()
		nodes, buffers = nodes+n, buffers+m
	}
	m := d.frame[d.at:]
	size := metaSize(nodes, buffers)
	if len(m) < size {
		return corrupt("the frame ends within its metadata")
	}
	if !checkMeta(m[:size], d.rows, nodes, buffers, len(m)-size) {
		return corrupt("impossible Arrow metadata")
	}
	d.nodes = m[metaFixed : metaFixed+16*nodes]
	d.buffers = m[metaFixed+16*nodes+8 : size]
	d.body = m[size:]
	return nil
}

// columns reads the body.
func (d *decoder) columns() (*change.Batch, error) {
	b := &change.Batch{
		Table: d.table, Ops: make([]change.Op, d.rows), LSN: make([]schemas.LSN, d.rows), Ordinal: make([]uint32, d.rows),
		Cols: make([]*vector.Vector, len(d.cols)), Absent: make([]vector.Bitmap, len(d.cols)),
	}
	if err := d.positions(b); err != nil {
		return nil, err
	}
	vectors := make([]vector.Vector, len(d.cols))
	for i, c := range d.cols {
		v := &vectors[i]
		v.Type, v.Len, b.Cols[i] = d.table.Columns[i].Type, d.rows, v
		if err := d.column(v, c); err != nil {
			return nil, fmt.Errorf("table %s, column %s: %w", d.table.FullName(), d.table.Columns[i].Name, err)
		}
		if c.flags&flagAbsent != 0 {
			if err := d.absent(b, i); err != nil {
				return nil, err
			}
		}
		if c.flags&flagDisplay != 0 {
			if err := d.display(v); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// field reads an Arrow field's node.
func (d *decoder) field() (nulls int, err error) {
	length, null := le.Uint64(d.nodes), le.Uint64(d.nodes[8:])
	d.nodes = d.nodes[16:]
	if length != uint64(d.rows) || null > uint64(d.rows) {
		return 0, corrupt("a column of %d rows with %d NULLs among %d rows", length, null, d.rows)
	}
	return int(null), nil
}

// next returns the next buffer.
func (d *decoder) next() ([]byte, error) {
	off, n := le.Uint64(d.buffers), le.Uint64(d.buffers[8:])
	d.buffers = d.buffers[16:]
	if off > uint64(len(d.body)) || n > uint64(len(d.body))-off {
		return nil, corrupt("a buffer at %d of %d bytes in a body of %d", off, n, len(d.body))
	}
	return d.body[off : off+n], nil
}

// fixed returns the next buffer, which holds size bytes a row.
func (d *decoder) fixed(size int) ([]byte, error) {
	p, err := d.next()
	if err == nil && len(p) != size*d.rows {
		return nil, corrupt("a buffer of %d bytes for %d rows of %d", len(p), d.rows, size)
	}
	return p, err
}

// full opens a field that has no NULLs.
func (d *decoder) full() error {
	nulls, err := d.field()
	if err != nil {
		return err
	}
	p, err := d.next()
	if err == nil && (nulls != 0 || len(p) != 0) {
		return corrupt("NULLs where there can be none")
	}
	return err
}

// valid opens a field and returns its NULL rows, nil when there are none.
func (d *decoder) valid() (vector.Bitmap, error) {
	nulls, err := d.field()
	if err != nil {
		return nil, err
	}
	p, err := d.next()
	if err != nil || nulls == 0 && len(p) == 0 {
		return nil, err
	}
	m, err := d.bits(p)
	if err != nil {
		return nil, err
	}
	for i := range m {
		m[i] = ^m[i] & rowMask(i, d.rows)
	}
	if m.Count() != nulls {
		return nil, corrupt("%d NULLs counted as %d", m.Count(), nulls)
	}
	return m, nil
}

// bits reads a bitmap of all rows; a bit past them is corruption.
func (d *decoder) bits(p []byte) (vector.Bitmap, error) {
	if len(p) != (d.rows+7)/8 {
		return nil, corrupt("a bitmap of %d bytes for %d rows", len(p), d.rows)
	}
	m := vector.NewBitmap(d.rows)
	for i, x := range p {
		m[i>>3] |= uint64(x) << (8 * (i & 7))
	}
	if last := len(m) - 1; last >= 0 && m[last]&^rowMask(last, d.rows) != 0 {
		return nil, corrupt("a bitmap has rows past the end")
	}
	return m, nil
}

// positions reads op, lsn and ordinal.
func (d *decoder) positions(b *change.Batch) error {
	p, err := d.unsigned(1)
	if err != nil {
		return err
	}
	for i := range b.Ops {
		b.Ops[i] = change.Op(p[i])
		if b.Ops[i] < change.Insert || b.Ops[i] > change.Before {
			return corrupt("operation %d", p[i])
		}
	}
	if p, err = d.unsigned(d.lsnPhys.size()); err != nil {
		return err
	}
	for i := range b.LSN {
		b.LSN[i] = d.base + schemas.LSN(uintAt(p, d.lsnPhys, i))
		if b.LSN[i] < d.base {
			return corrupt("an LSN past the end of the log")
		}
	}
	if p, err = d.unsigned(d.ordPhys.size()); err != nil {
		return err
	}
	for i := range b.Ordinal {
		b.Ordinal[i] = uint32(uintAt(p, d.ordPhys, i))
	}
	return nil
}

// unsigned reads a field without NULLs.
func (d *decoder) unsigned(size int) ([]byte, error) {
	if err := d.full(); err != nil {
		return nil, err
	}
	return d.fixed(size)
}

func uintAt(p []byte, phys physical, i int) uint64 {
	switch phys {
	case physInt8:
		return uint64(p[i])
	case physInt16:
		return uint64(le.Uint16(p[2*i:]))
	case physInt32:
		return uint64(le.Uint32(p[4*i:]))
	}
	return le.Uint64(p[8*i:])
}
