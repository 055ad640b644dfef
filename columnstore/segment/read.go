package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"sync"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

// ErrCorrupt is wrapped by every error about bytes that do not hold.
var ErrCorrupt = errors.New("segment is corrupt")

func corrupt(file, what string) error {
	return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: "read segment " + file,
		Err: fmt.Errorf("%w: %s", ErrCorrupt, what), Hint: "restore the data folder from a backup, or resync from the source"}
}

// File reads columns of a segment. Safe for concurrent use.
type File struct {
	fs   vfs.FS
	dir  string
	meta *Meta
	mu   struct {
		sync.Mutex
		file   vfs.File
		pq     *parquet.File
		closed bool
	}
}

// Open makes a reader; it touches the disk only when a column is read.
func Open(fsys vfs.FS, dir string, m *Meta) *File { return &File{fs: fsys, dir: dir, meta: m} }

// Meta describes the file.
func (f *File) Meta() *Meta { return f.meta }

// Close closes the file; later reads open it again.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.file == nil {
		return nil
	}
	file := f.mu.file
	f.mu.file, f.mu.pq = nil, nil
	return file.Close()
}

func (f *File) open() (vfs.File, *parquet.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.file != nil {
		return f.mu.file, f.mu.pq, nil
	}
	file, err := f.fs.Open(filepath.Join(f.dir, f.meta.File))
	if err != nil {
		return nil, nil, vfs.Typed("open segment "+f.meta.File, err)
	}
	pq, err := f.footer(file)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	f.mu.file, f.mu.pq = file, pq
	return file, pq, nil
}

func (f *File) footer(file vfs.File) (*parquet.File, error) {
	data, err := f.read(file, f.meta.Footer)
	if err != nil {
		return nil, err
	}
	pq, err := parquet.OpenFile(overlay{size: f.meta.Bytes, parts: []part{{0, []byte("PAR1")}, {f.meta.Footer.Off, data}}},
		f.meta.Bytes, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, corrupt(f.meta.File, err.Error())
	}
	return pq, nil
}

// read returns a verified range of bytes (I8).
func (f *File) read(file vfs.File, p Piece) ([]byte, error) {
	data := make([]byte, p.Len)
	if n, err := file.ReadAt(data, p.Off); n < len(data) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, corrupt(f.meta.File, "file is too short")
		}
		return nil, vfs.Typed("read segment "+f.meta.File, err)
	}
	if crc32.Checksum(data, castagnoli) != p.CRC {
		return nil, corrupt(f.meta.File, fmt.Sprintf("checksum of %d bytes at %d", p.Len, p.Off))
	}
	return data, nil
}

// Column reads column i of a chunk into a block and says how many bytes it read.
func (f *File) Column(chunk, i int) (*column.Block, int64, error) {
	file, pq, err := f.open()
	if err != nil {
		return nil, 0, err
	}
	p := f.meta.Chunks[chunk].Cols[i].Piece
	data, err := f.read(file, p)
	if err != nil {
		return nil, 0, err
	}
	cc, ok := pq.RowGroups()[chunk].ColumnChunks()[i].(*parquet.FileColumnChunk)
	if !ok {
		return nil, 0, fmt.Errorf("segment %s: parquet gave a %T", f.meta.File, pq.RowGroups()[chunk].ColumnChunks()[i])
	}
	v, err := decode(cc.PagesFrom(overlay{size: f.meta.Bytes, parts: []part{{p.Off, data}}}), f.meta.Columns[i], f.meta.Chunks[chunk].Rows)
	if err != nil {
		return nil, 0, corrupt(f.meta.File, err.Error())
	}
	return encodeRead(v), p.Len, nil
}

// Verify reads the whole file against its checksum.
func (f *File) Verify() error {
	file, _, err := f.open()
	if err != nil {
		return err
	}
	buf, crc := make([]byte, 1<<20), uint32(0)
	for at := int64(0); at < f.meta.Bytes; {
		n, err := file.ReadAt(buf[:min(int64(len(buf)), f.meta.Bytes-at)], at)
		crc = crc32.Update(crc, castagnoli, buf[:n])
		at += int64(n)
		if errors.Is(err, io.EOF) && at < f.meta.Bytes || n == 0 && err == nil {
			return corrupt(f.meta.File, "file is too short")
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return vfs.Typed("read segment "+f.meta.File, err)
		}
	}
	if crc != f.meta.CRC {
		return corrupt(f.meta.File, "checksum of the whole file")
	}
	return nil
}

// overlay serves only bytes that were verified.
type overlay struct {
	size  int64
	parts []part
}

type part struct {
	off  int64
	data []byte
}

func (o overlay) ReadAt(p []byte, off int64) (int, error) {
	for _, q := range o.parts {
		if off >= q.off && off < q.off+int64(len(q.data)) {
			n := copy(p, q.data[off-q.off:])
			if n < len(p) {
				return n, io.EOF
			}
			return n, nil
		}
	}
	if off >= o.size {
		return 0, io.EOF
	}
	return 0, fmt.Errorf("read of %d bytes at %d, which were not verified", len(p), off)
}

// decode turns the pages of a column into a flat vector.
func decode(pages *parquet.FilePages, m ColumnMeta, rows int) (*vector.Vector, error) {
	defer pages.Close()
	v := vector.New(m.Type, rows)
	if m.Repr == Text {
		v.Dec = vector.DecText
	} else if m.Repr == Decimal {
		v.Scale = m.Scale
	}
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		err = appendPage(v, page, m)
		parquet.Release(page)
		if err != nil {
			return nil, err
		}
	}
	if v.Len != rows {
		return nil, fmt.Errorf("column has %d rows, not %d", v.Len, rows)
	}
	return v, nil
}

func appendPage(v *vector.Vector, page parquet.Page, m ColumnMeta) error {
	add, n, err := adder(v, page, m)
	if err != nil {
		return err
	}
	levels := page.DefinitionLevels()
	if len(levels) == 0 {
		for i := range n {
			add(i)
		}
		return nil
	}
	at := 0
	for _, d := range levels {
		if d == 0 {
			v.AppendNull()
			continue
		}
		if at >= n {
			return errors.New("page has fewer values than levels say")
		}
		add(at)
		at++
	}
	return nil
}

// adder returns a function that appends value i of a page, and how many there are.
func adder(v *vector.Vector, page parquet.Page, m ColumnMeta) (func(i int), int, error) {
	data := page.Data()
	if dict := page.Dictionary(); dict != nil {
		dictData := dict.Page().Data()
		bytes, offsets := dictData.ByteArray()
		codes := data.Int32()
		for _, c := range codes {
			if c < 0 || int(c)+1 >= len(offsets) {
				return nil, 0, errors.New("dictionary code out of range")
			}
		}
		return func(i int) { v.AppendBytes(bytes[offsets[codes[i]]:offsets[codes[i]+1]]) }, len(codes), nil
	}
	switch m.Type.Kind {
	case schemas.Bool:
		bits := data.Boolean()
		return func(i int) { v.AppendInt(int64(bits[i>>3] >> (i & 7) & 1)) }, int(page.NumValues() - page.NumNulls()), nil
	case schemas.Int16, schemas.Int32:
		x := data.Int32()
		return func(i int) { v.AppendInt(int64(x[i])) }, len(x), nil
	case schemas.Date:
		x := data.Int32()
		return func(i int) { v.AppendInt(dateFromFile(x[i])) }, len(x), nil
	case schemas.Timestamp, schemas.TimestampTZ:
		x := data.Int64()
		return func(i int) { v.AppendInt(timeFromFile(x[i])) }, len(x), nil
	case schemas.Int64, schemas.Time:
		x := data.Int64()
		return func(i int) { v.AppendInt(x[i]) }, len(x), nil
	case schemas.Float32:
		x := data.Float()
		return func(i int) { v.AppendFloat(float64(x[i])) }, len(x), nil
	case schemas.Float64:
		x := data.Double()
		return func(i int) { v.AppendFloat(x[i]) }, len(x), nil
	case schemas.Numeric:
		if m.Repr == Decimal {
			x := data.Int64()
			return func(i int) { v.Ints = append(v.Ints, x[i]); grow(v) }, len(x), nil
		}
	case schemas.Interval:
		x, size := data.FixedLenByteArray()
		return func(i int) { appendIntervalBytes(v, x[i*size:]) }, len(x) / 16, nil
	case schemas.UUID:
		x, size := data.FixedLenByteArray()
		return func(i int) { v.AppendBytes(x[i*size : (i+1)*size]) }, len(x) / 16, nil
	}
	bytes, offsets := data.ByteArray()
	return func(i int) { v.AppendBytes(bytes[offsets[i]:offsets[i+1]]) }, max(0, len(offsets)-1), nil
}

func timeFromFile(n int64) int64 {
	if n == fileNegInfTime {
		return schemas.NegInfinityTime
	}
	return n
}

// grow counts a row whose payload was appended directly.
func grow(v *vector.Vector) {
	v.Len++
	if v.Nulls != nil && len(v.Nulls) < vector.Words(v.Len) {
		v.Nulls = append(v.Nulls, 0)
	}
}

func appendIntervalBytes(v *vector.Vector, b []byte) {
	v.Intervals = append(v.Intervals, vector.Interval{
		Months: int32(binary.LittleEndian.Uint32(b)), Days: int32(binary.LittleEndian.Uint32(b[4:])),
		Micros: int64(binary.LittleEndian.Uint64(b[8:]))})
	grow(v)
}
