package fn

import (
	"github.com/millrace/millrace/schemas"
)

// Context says where a cast may be applied; each includes those before it.
type Context uint8

// The contexts of pg_cast.castcontext.
const (
	NoCast Context = iota
	// Implicit casts happen anywhere.
	Implicit
	// Assignment casts happen when a value is stored in a column.
	Assignment
	// Explicit casts are written: CAST(x AS type), x::type.
	Explicit
)

// Cast is an entry of the cast table.
type Cast struct {
	From, To schemas.Kind
	Context  Context
}

// castTable is pg_cast for the kinds there are, without the casts through text,
// which CastContext adds for every kind.
var castTable = map[[2]schemas.Kind]Context{
	{kI16, kI32}: Implicit, {kI16, kI64}: Implicit, {kI16, kF32}: Implicit, {kI16, kF64}: Implicit, {kI16, kNum}: Implicit,
	{kI32, kI16}: Assignment, {kI32, kI64}: Implicit, {kI32, kF32}: Implicit, {kI32, kF64}: Implicit, {kI32, kNum}: Implicit,
	{kI64, kI16}: Assignment, {kI64, kI32}: Assignment, {kI64, kF32}: Implicit, {kI64, kF64}: Implicit, {kI64, kNum}: Implicit,
	{kF32, kI16}: Assignment, {kF32, kI32}: Assignment, {kF32, kI64}: Assignment, {kF32, kF64}: Implicit, {kF32, kNum}: Assignment,
	{kF64, kI16}: Assignment, {kF64, kI32}: Assignment, {kF64, kI64}: Assignment, {kF64, kF32}: Assignment, {kF64, kNum}: Assignment,
	{kNum, kI16}: Assignment, {kNum, kI32}: Assignment, {kNum, kI64}: Assignment, {kNum, kF32}: Implicit, {kNum, kF64}: Implicit,
	{kBool, kI32}: Explicit, {kI32, kBool}: Explicit,

	{kText, kChar}: Implicit, {kText, schemas.Varchar}: Implicit,
	{kChar, kText}: Implicit, {kChar, schemas.Varchar}: Implicit,
	{schemas.Varchar, kText}: Implicit, {schemas.Varchar, kChar}: Implicit,

	{kDate, kTS}: Implicit, {kDate, kTSTZ}: Implicit,
	{kTS, kTSTZ}: Implicit, {kTS, kDate}: Assignment, {kTS, kTime}: Assignment,
	{kTSTZ, kTS}: Assignment, {kTSTZ, kDate}: Assignment, {kTSTZ, kTime}: Assignment,
	{kTime, kIval}: Implicit, {kIval, kTime}: Assignment,

	{kJSON, kBool}: Explicit, {kJSON, kI16}: Explicit, {kJSON, kI32}: Explicit, {kJSON, kI64}: Explicit,
	{kJSON, kF32}: Explicit, {kJSON, kF64}: Explicit, {kJSON, kNum}: Explicit,
}

// CastContext says where a value of one kind may become another; NoCast: nowhere.
func CastContext(from, to schemas.Kind) Context {
	if from == to {
		return Implicit
	}
	if c, ok := castTable[[2]schemas.Kind{from, to}]; ok {
		return c
	}
	// PostgreSQL CREATE CAST, Notes: through the output and input functions, to
	// the string types by assignment, from them explicitly.
	if to.IsText() {
		return Assignment
	}
	if from.IsText() {
		return Explicit
	}
	return NoCast
}

// Casts returns every pair that an executor must implement, in the order of the
// kinds. A cast within a kind (to apply a length, precision or scale) exists for
// numeric, varchar and char, and counts as one.
func Casts() []Cast {
	var out []Cast
	for from := schemas.Bool; from <= schemas.JSONB; from++ {
		for to := schemas.Bool; to <= schemas.JSONB; to++ {
			c := CastContext(from, to)
			if from == to && from != kNum && from != schemas.Varchar && from != kChar {
				continue
			}
			if c != NoCast {
				out = append(out, Cast{From: from, To: to, Context: c})
			}
		}
	}
	return out
}
