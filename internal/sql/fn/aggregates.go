package fn

import (
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// addAggregates registers count, sum, avg, min and max. count(*) has no argument;
// count(x) is registered for every kind, Args[0] saying which.
func (r *Registry) addAggregates() {
	agg := func(name string, result schemas.Kind, args ...schemas.Kind) {
		r.aggregates[name] = append(r.aggregates[name], &plan.AggFunc{Name: name, Args: args, Result: result})
	}
	agg("count", kI64)
	for k := schemas.Bool; k <= schemas.JSONB; k++ {
		agg("count", kI64, k)
	}
	for _, s := range [][2]schemas.Kind{{kI16, kI64}, {kI32, kI64}, {kI64, kNum}, {kF32, kF32}, {kF64, kF64}, {kNum, kNum}, {kIval, kIval}} {
		agg("sum", s[1], s[0])
	}
	for _, s := range [][2]schemas.Kind{{kI16, kNum}, {kI32, kNum}, {kI64, kNum}, {kF32, kF64}, {kF64, kF64}, {kNum, kNum}, {kIval, kIval}} {
		agg("avg", s[1], s[0])
	}
	for _, name := range []string{"min", "max"} {
		for _, k := range comparable {
			if k != kBool && k != kUUID && k != kBytes { // PostgreSQL has none for these
				agg(name, k, k)
			}
		}
	}
}
