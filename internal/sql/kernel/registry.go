package kernel

import (
	"sync"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// impl is the implementation of one key of the function registry.
type impl struct {
	// bind makes the kernel for one call.
	bind func(c *compiler, x *expr.Call) (kernelFunc, error)
	// safe says that no argument makes it fail.
	safe bool
	// perValue says that it may run over the values of a dictionary instead of rows.
	perValue bool
}

type table map[string]*impl

// Has says whether a function has an implementation.
func Has(f *expr.Func) bool {
	_, ok := find(f)
	return ok
}

func find(f *expr.Func) (*impl, bool) {
	if i, ok := registry()[f.Key()]; ok {
		return i, true
	}
	return rowwise(f)
}

// registry is all implementations, built once.
var registry = sync.OnceValue(func() table {
	t := table{}
	t.addArithmetic()
	t.addComparisons()
	t.addMath()
	t.addText()
	t.addTime()
	return t
})

// add registers a kernel that has state of its own: made anew for each call.
func (t table) add(make func() kernelFunc, name string, args ...schemas.Kind) *impl {
	f := expr.Func{Name: name, Args: args}
	i := &impl{bind: func(*compiler, *expr.Call) (kernelFunc, error) { return make(), nil }}
	t[f.Key()] = i
	return i
}

// variadic is add for a function whose last argument may repeat.
func (t table) variadic(make func() kernelFunc, name string, args ...schemas.Kind) *impl {
	f := expr.Func{Name: name, Args: args, Variadic: true}
	i := &impl{bind: func(*compiler, *expr.Call) (kernelFunc, error) { return make(), nil }}
	t[f.Key()] = i
	return i
}

// addPure registers a kernel without state.
func (t table) addPure(f kernelFunc, name string, args ...schemas.Kind) *impl {
	return t.add(func() kernelFunc { return f }, name, args...)
}

// cheap marks an implementation that cannot fail and may run per dictionary value.
func (i *impl) cheap() { i.safe, i.perValue = true, true }

// once marks one that may run per dictionary value, but can fail.
func (i *impl) once() { i.perValue = true }

// Short names of kinds for the tables.
const (
	kBool  = schemas.Bool
	kI16   = schemas.Int16
	kI32   = schemas.Int32
	kI64   = schemas.Int64
	kF32   = schemas.Float32
	kF64   = schemas.Float64
	kNum   = schemas.Numeric
	kText  = schemas.Text
	kChar  = schemas.Char
	kBytes = schemas.Bytea
	kDate  = schemas.Date
	kTime  = schemas.Time
	kTS    = schemas.Timestamp
	kTSTZ  = schemas.TimestampTZ
	kIval  = schemas.Interval
	kUUID  = schemas.UUID
	kJSON  = schemas.JSONB
)

func (t table) addArithmetic() {
	for _, k := range []schemas.Kind{kI16, kI32, kI64} {
		for _, name := range []string{"+", "-", "*"} {
			t.add(func() kernelFunc { return intOp(k, name) }, name, k, k)
		}
		t.addPure(intDiv(k, false), "/", k, k)
		t.addPure(intDiv(k, true), "%", k, k)
		t.addPure(intNeg(k), "-", k)
		t.addPure(intAbs(k), "abs", k)
	}
	for _, k := range []schemas.Kind{kF32, kF64} {
		for _, name := range []string{"+", "-", "*", "/"} {
			t.add(func() kernelFunc { return floatOp(k, name) }, name, k, k)
		}
	}
	t.add(func() kernelFunc { return decAdd(false) }, "+", kNum, kNum)
	t.add(func() kernelFunc { return decAdd(true) }, "-", kNum, kNum)
	t.add(decMul, "*", kNum, kNum)
	t.addPure(decDiv, "/", kNum, kNum)
	t.addPure(decNeg, "-", kNum)
}

func (t table) addComparisons() {
	for _, k := range []schemas.Kind{kBool, kI16, kI32, kI64, kF32, kF64, kNum, kText, kChar, kBytes, kDate, kTime, kTS, kTSTZ, kIval, kUUID} {
		for name, op := range cmpOps {
			t.add(func() kernelFunc { return comparison(op, k) }, name, k, k).cheap()
		}
		t.addPure(distinct(false), "is distinct from", k, k).safe = true
		t.addPure(distinct(true), "is not distinct from", k, k).safe = true
		t.variadic(func() kernelFunc { return extreme(schemas.Type{Kind: k}, 1) }, "greatest", k).safe = true
		t.variadic(func() kernelFunc { return extreme(schemas.Type{Kind: k}, -1) }, "least", k).safe = true
	}
}
