// Package schemas is the vocabulary that every part of Millrace shares: types,
// values, table schemas, positions and errors. Change batches (schemas/change)
// and the load protocol (schemas/load) build on it.
package schemas

import "fmt"

// Kind is a data type without its modifiers. The numbers stand in file formats:
// never reuse or reorder them.
type Kind uint8

// The kinds, with how a value is held (see Value and internal/vector).
const (
	Invalid     Kind = 0
	Bool        Kind = 1  // int: 0, 1
	Int16       Kind = 2  // int
	Int32       Kind = 3  // int
	Int64       Kind = 4  // int
	Float32     Kind = 5  // float, rounded to float32
	Float64     Kind = 6  // float
	Numeric     Kind = 7  // decimal
	Text        Kind = 8  // bytes: UTF-8
	Varchar     Kind = 9  // bytes: UTF-8, Length limits characters
	Char        Kind = 10 // bytes: UTF-8, blank-padded to Length on output, compared without trailing blanks
	Bytea       Kind = 11 // bytes
	Date        Kind = 12 // int: days since 1970-01-01
	Time        Kind = 13 // int: µs since midnight
	Timestamp   Kind = 14 // int: µs since 1970-01-01 00:00, no zone
	TimestampTZ Kind = 15 // int: µs since 1970-01-01 00:00 UTC
	Interval    Kind = 16 // interval: months, days, µs
	UUID        Kind = 17 // bytes: 16
	JSONB       Kind = 18 // bytes: PostgreSQL's text output of the value
)

// Dates and timestamps hold ±infinity at the extremes of int64.
const (
	InfinityTime    = int64(1<<63 - 1)
	NegInfinityTime = -int64(1<<63-1) - 1
)

// Layout is how the values of a kind are held in memory.
type Layout uint8

// The layouts.
const (
	LayoutNone     Layout = iota
	LayoutInt             // int64
	LayoutFloat           // float64
	LayoutDecimal         // int64 with scale, else 128 bits with scale, else canonical text
	LayoutBytes           // byte string
	LayoutInterval        // months, days, µs
)

var kinds = [...]struct {
	name   string
	layout Layout
}{
	Invalid:     {"invalid", LayoutNone},
	Bool:        {"boolean", LayoutInt},
	Int16:       {"smallint", LayoutInt},
	Int32:       {"integer", LayoutInt},
	Int64:       {"bigint", LayoutInt},
	Float32:     {"real", LayoutFloat},
	Float64:     {"double precision", LayoutFloat},
	Numeric:     {"numeric", LayoutDecimal},
	Text:        {"text", LayoutBytes},
	Varchar:     {"character varying", LayoutBytes},
	Char:        {"character", LayoutBytes},
	Bytea:       {"bytea", LayoutBytes},
	Date:        {"date", LayoutInt},
	Time:        {"time without time zone", LayoutInt},
	Timestamp:   {"timestamp without time zone", LayoutInt},
	TimestampTZ: {"timestamp with time zone", LayoutInt},
	Interval:    {"interval", LayoutInterval},
	UUID:        {"uuid", LayoutBytes},
	JSONB:       {"jsonb", LayoutBytes},
}

// String gives PostgreSQL's name of the kind.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Layout says how values of the kind are held.
func (k Kind) Layout() Layout {
	if int(k) < len(kinds) {
		return kinds[k].layout
	}
	return LayoutNone
}

// IsText says whether values are character strings.
func (k Kind) IsText() bool { return k == Text || k == Varchar || k == Char }

// IsInteger says whether values are whole numbers of fixed width.
func (k Kind) IsInteger() bool { return k == Int16 || k == Int32 || k == Int64 }

// IsFloat says whether values are binary floating point.
func (k Kind) IsFloat() bool { return k == Float32 || k == Float64 }

// IsNumber says whether arithmetic applies.
func (k Kind) IsNumber() bool { return k.IsInteger() || k.IsFloat() || k == Numeric }

// Type is a kind with its modifiers. The zero modifiers mean "none", so a bare
// Type{Kind: k} is always the unconstrained type, and types compare with ==.
type Type struct {
	Kind Kind `json:"kind"`
	// Precision and Scale of numeric(p,s); Precision 0 is unconstrained.
	Precision int16 `json:"precision,omitempty"`
	Scale     int16 `json:"scale,omitempty"`
	// Length in characters of varchar(n) and char(n); 0 is unconstrained.
	Length int32 `json:"length,omitempty"`
}

// String gives PostgreSQL's name, modifiers included: "numeric(12,2)".
func (t Type) String() string {
	switch {
	case t.Kind == Numeric && t.Precision > 0:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case t.Length > 0:
		return fmt.Sprintf("%s(%d)", t.Kind, t.Length)
	}
	return t.Kind.String()
}
