// Package arrowipc writes change batches as bytes and reads them back: an Arrow
// IPC record batch behind a short frame that names the table and says how each
// column is held, so that no schema travels with every batch. Kafka messages, the
// load protocol and the warehouse's load log carry these frames.
//
// A frame, little endian:
//
//	 0  u8   'M'
//	 1  u8   'B'
//	 2  u8   version, 1
//	 3  u8   0
//	 4  u32  length of all that follows this field
//	 8  u32  version of the table's schema
//	12  u32  rows
//	16  u64  base: the smallest LSN
//	24  u8   width of the LSN column in bytes: 1, 2, 4, 8 (the LSN is base + value)
//	25  u8   width of the ordinal column in bytes: 1, 2, 4
//	26  u16  columns
//	28  u16  length of the table's full name, then the name
//	    4 bytes a column: u8 physical type, u8 flags, i16 scale
//	    0 to the next multiple of 8
//	    an Arrow IPC encapsulated message (metadata version 5, RecordBatch)
//
// The record batch has the columns op (uint8), lsn, ordinal and then, for each
// column of the table in order, its values, its absent rows (bool) if flagAbsent
// and its display scales (uint8) if flagDisplay. Frames stand one after the other
// without anything between them. docs/formats/kafka-message.md shows it in full.
package arrowipc

import (
	"encoding/binary"

	"github.com/millrace/millrace/schemas"
)

const (
	magic0, magic1 = 'M', 'B'
	version        = 1
	headerLen      = 30 // up to the table's name
	columnLen      = 4
)

// physical is how a column's values are held on the wire.
type physical uint8

const (
	physInt8    physical = 1
	physInt16   physical = 2
	physInt32   physical = 3
	physInt64   physical = 4
	physFloat32 physical = 5
	physFloat64 physical = 6
	physBinary  physical = 7 // int32 offsets and bytes; numeric: text
	physFixed16 physical = 8 // interval: months, days, µs
	physDec128  physical = 9 // 128-bit coefficient
)

// size is the bytes a value takes in the data buffer, 0 for physBinary.
func (p physical) size() int {
	switch p {
	case physInt8:
		return 1
	case physInt16:
		return 2
	case physInt32, physFloat32:
		return 4
	case physInt64, physFloat64:
		return 8
	case physFixed16, physDec128:
		return 16
	}
	return 0
}

// holds says whether a column of a layout may be held as p.
func (p physical) holds(l schemas.Layout) bool {
	switch l {
	case schemas.LayoutInt:
		return p >= physInt8 && p <= physInt64
	case schemas.LayoutFloat:
		return p == physFloat32 || p == physFloat64
	case schemas.LayoutBytes:
		return p == physBinary
	case schemas.LayoutInterval:
		return p == physFixed16
	case schemas.LayoutDecimal:
		return p >= physInt8 && p <= physInt64 || p == physDec128 || p == physBinary
	}
	return false
}

// Flags of a column.
const (
	flagAbsent  = 1 // an absent bitmap follows the values
	flagDisplay = 2 // display scales follow
)

// column describes one column of a frame.
type column struct {
	phys  physical
	flags uint8
	scale int16
}

// nodesAndBuffers counts the Arrow fields and buffers of a column.
func (c column) nodesAndBuffers() (nodes, buffers int) {
	nodes, buffers = 1, 2
	if c.phys == physBinary {
		buffers++
	}
	if c.flags&flagAbsent != 0 {
		nodes, buffers = nodes+1, buffers+2
	}
	if c.flags&flagDisplay != 0 {
		nodes, buffers = nodes+1, buffers+2
	}
	return nodes, buffers
}

var le = binary.LittleEndian

func pad8(n int) int { return (n + 7) &^ 7 }
