package segment

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"path/filepath"
	"sort"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

func floatBits(f float64) int64 { return int64(math.Float64bits(f)) }
func bitsFloat(n int64) float64 { return math.Float64frombits(uint64(n)) }

// ordered is a Parquet group that keeps the table's order of columns.
type ordered struct {
	parquet.Group
	rank map[string]int
}

func (o ordered) Fields() []parquet.Field {
	fields := o.Group.Fields()
	sort.Slice(fields, func(i, j int) bool { return o.rank[fields[i].Name()] < o.rank[fields[j].Name()] })
	return fields
}

// Write makes a file durable and returns its description. t describes the columns
// of the chunks. What Write leaves behind when it fails belongs to nobody.
func Write(fsys vfs.FS, dir, name string, t *schemas.Table, chunks []Chunk) (*Meta, error) {
	m := &Meta{File: name, Table: t.FullName()}
	group := ordered{parquet.Group{}, map[string]int{}}
	for i, c := range t.Columns {
		cm := ColumnMeta{ID: c.ID, Type: c.Type, Nullable: hasNull(chunks, i)}
		cm.Repr, cm.Scale = reprOf(c.Type, chunks, i)
		m.Columns = append(m.Columns, cm)
		group.Group[c.Name], group.rank[c.Name] = node(c, cm), i
	}
	path := filepath.Join(dir, name)
	f, err := fsys.Create(path)
	if err != nil {
		return nil, vfs.Typed("create segment "+name, err)
	}
	defer f.Close()
	sum := &summer{w: f}
	out := bufio.NewWriterSize(sum, 1<<20)
	if err := m.rowGroups(out, parquet.NewSchema("millrace", group), t, chunks); err != nil {
		return nil, vfs.Typed("write segment "+name, err)
	}
	if err := out.Flush(); err != nil {
		return nil, vfs.Typed("write segment "+name, err)
	}
	// I1: the manifest names the file only once it and its entry are durable.
	if err := f.Sync(); err != nil {
		return nil, vfs.Typed("sync segment "+name, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, vfs.Typed("sync folder of segment "+name, err)
	}
	m.Bytes, m.CRC = sum.n, sum.crc
	return m, m.describe(f, chunks)
}

func (m *Meta) rowGroups(out io.Writer, schema *parquet.Schema, t *schemas.Table, chunks []Chunk) error {
	w := parquet.NewWriter(out, schema, parquet.CreatedBy("millrace", "1", ""), parquet.DataPageStatistics(true),
		parquet.KeyValueMetadata("millrace.table", t.FullName()))
	values, scratch := make([]parquet.Value, 0, 1<<16), []byte(nil)
	for _, c := range chunks {
		rg := w.BeginRowGroup()
		for i, b := range c.Cols {
			var err error
			optional := !t.Columns[i].NotNull || m.Columns[i].Nullable
			if values, scratch, err = columnValues(values[:0], scratch[:0], b.Vec, c.Rows, i, m.Columns[i], optional); err != nil {
				return fmt.Errorf("column %s: %w", t.Columns[i].Name, err)
			}
			// Pages end between calls only: small ones keep pages near their size.
			for at := 0; at < len(values); at += 8 << 10 {
				if _, err := rg.ColumnWriters()[i].WriteRowValues(values[at:min(at+8<<10, len(values))]); err != nil {
					return fmt.Errorf("column %s: %w", t.Columns[i].Name, err)
				}
			}
		}
		if _, err := rg.Commit(); err != nil {
			return err
		}
		m.Rows += int64(c.Rows)
	}
	return w.Close()
}

func columnValues(dst []parquet.Value, scratch []byte, v *vector.Vector, rows, col int, m ColumnMeta, optional bool) ([]parquet.Value, []byte, error) {
	def := 0
	if optional {
		def = 1
	}
	for i := range rows {
		if v.Null(i) {
			dst = append(dst, parquet.NullValue().Level(0, 0, col))
			continue
		}
		var x parquet.Value
		var err error
		if x, scratch, err = value(v, i, m, scratch); err != nil {
			return dst, scratch, err
		}
		dst = append(dst, x.Level(0, def, col))
	}
	return dst, scratch, nil
}

// summer writes through and keeps the count and checksum.
type summer struct {
	w   io.Writer
	n   int64
	crc uint32
}

func (s *summer) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, p[:n])
	return n, err
}

// describe reads the file back, so that a checksum is only recorded of what the
// file really holds, and notes the place of each column.
func (m *Meta) describe(f vfs.File, chunks []Chunk) error {
	data := make([]byte, m.Bytes)
	if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return vfs.Typed("read back segment "+m.File, err)
	}
	if crc32.Checksum(data, castagnoli) != m.CRC {
		return corrupt(m.File, "what was written reads back differently")
	}
	pf, err := parquet.OpenFile(overlay{size: m.Bytes, parts: []part{{0, data}}}, m.Bytes,
		parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("read back segment %s: %w", m.File, err)
	}
	size := int64(uint32(data[m.Bytes-8]) | uint32(data[m.Bytes-7])<<8 | uint32(data[m.Bytes-6])<<16 | uint32(data[m.Bytes-5])<<24)
	m.Footer = piece(data, m.Bytes-8-size, size+8)
	for g, rg := range pf.Metadata().RowGroups {
		cm := ChunkMeta{Rows: chunks[g].Rows}
		for i := range rg.Columns {
			off, n := extent(&rg.Columns[i])
			cm.Cols = append(cm.Cols, Part{Piece: piece(data, off, n), Zone: zoneMeta(chunks[g].Cols[i].Zone)})
		}
		m.Chunks = append(m.Chunks, cm)
	}
	return nil
}

func piece(data []byte, off, n int64) Piece {
	return Piece{Off: off, Len: n, CRC: crc32.Checksum(data[off:off+n], castagnoli)}
}

// extent is where a column's pages lie, the dictionary first.
func extent(c *format.ColumnChunk) (off, n int64) {
	off = c.MetaData.DataPageOffset
	if d := c.MetaData.DictionaryPageOffset; d > 0 && d < off {
		off = d
	}
	return off, c.MetaData.TotalCompressedSize
}
