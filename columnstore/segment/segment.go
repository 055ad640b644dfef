// Package segment writes and reads immutable column files: Parquet, one row group
// per chunk of up to 64 Ki rows, so that DuckDB, pandas and Spark read them as
// they are. docs/formats/segment.md describes the types.
//
// Where each column of each row group lies, its CRC-32C and its least and
// greatest value stand in a Meta, which the manifest keeps: every byte that is
// read from a file is verified before it is decoded (I8).
package segment

import (
	"hash/crc32"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/schemas"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Chunk is the rows of one row group. Cols parallel the table's columns.
type Chunk struct {
	Rows int
	Cols []*column.Block
}

// Meta describes a file, and is what makes it readable.
type Meta struct {
	ID    uint64 `json:"id"`
	File  string `json:"file"` // base name
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
	// CRC is the whole file's, for checks and backups.
	CRC uint32 `json:"crc"`
	// Footer is Parquet's, to the end of the file.
	Footer  Piece        `json:"footer"`
	Columns []ColumnMeta `json:"columns"`
	Chunks  []ChunkMeta  `json:"chunks"`
}

// ColumnMeta is one column of a file.
type ColumnMeta struct {
	ID       uint32       `json:"id"`
	Type     schemas.Type `json:"type"`
	Repr     Repr         `json:"repr,omitempty"`
	Scale    int          `json:"scale,omitempty"`
	Nullable bool         `json:"nullable,omitempty"`
}

// ChunkMeta is one row group.
type ChunkMeta struct {
	Rows int    `json:"rows"`
	Cols []Part `json:"cols"` // parallel Meta.Columns
}

// Piece is a range of bytes and its checksum.
type Piece struct {
	Off int64  `json:"off"`
	Len int64  `json:"len"`
	CRC uint32 `json:"crc"`
}

// Part is one column of one row group.
type Part struct {
	Piece
	Zone ZoneMeta `json:"zone"`
}

// ZoneMeta is a column.Zone as JSON.
type ZoneMeta struct {
	Known bool       `json:"known,omitempty"`
	Nulls int        `json:"nulls,omitempty"`
	Min   *valueMeta `json:"min,omitempty"`
	Max   *valueMeta `json:"max,omitempty"`
}

// valueMeta is a bound. Floats travel as their bits, since JSON has no NaN.
type valueMeta struct {
	N     int64  `json:"n,omitempty"`
	B     []byte `json:"b,omitempty"`
	Scale int    `json:"s,omitempty"`
}

// ColumnIndex is the index in Columns of an id, or -1.
func (m *Meta) ColumnIndex(id uint32) int {
	for i := range m.Columns {
		if m.Columns[i].ID == id {
			return i
		}
	}
	return -1
}

// ZoneOf returns the zone of column i of a chunk.
func (m *Meta) ZoneOf(chunk, i int) column.Zone {
	z := &m.Chunks[chunk].Cols[i].Zone
	k := m.Columns[i].Type.Kind
	return column.Zone{Known: z.Known, Nulls: z.Nulls, Min: z.Min.value(k), Max: z.Max.value(k)}
}

func zoneMeta(z column.Zone) ZoneMeta {
	return ZoneMeta{Known: z.Known, Nulls: z.Nulls, Min: boundMeta(z.Min), Max: boundMeta(z.Max)}
}

func boundMeta(v schemas.Value) *valueMeta {
	switch v.Kind().Layout() {
	case schemas.LayoutInt:
		return &valueMeta{N: v.Int()}
	case schemas.LayoutFloat:
		return &valueMeta{N: floatBits(v.Float())}
	case schemas.LayoutDecimal:
		coef, scale, _, _ := v.Numeric()
		return &valueMeta{N: coef, Scale: scale}
	case schemas.LayoutBytes:
		return &valueMeta{B: []byte(v.Bytes())}
	}
	return nil
}

func (m *valueMeta) value(k schemas.Kind) schemas.Value {
	if m == nil {
		return schemas.Null
	}
	switch k.Layout() {
	case schemas.LayoutInt:
		return schemas.NewInt(k, m.N)
	case schemas.LayoutFloat:
		return schemas.NewFloat(k, bitsFloat(m.N))
	case schemas.LayoutDecimal:
		return schemas.NewNumeric(m.N, m.Scale)
	}
	return schemas.NewBytes(k, string(m.B))
}
