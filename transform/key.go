package transform

import (
	"fmt"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// keyAt finds the value of key column k of an emitted change: a vector and a row.
func (s *Stage) keyAt(in *change.Batch, k int, e emit) (*vector.Vector, int) {
	switch {
	case s.plain[k] >= 0:
		return in.Cols[s.plain[k]], int(e.row)
	case e.keyOnly():
		return s.goneVecs[s.keyOf[k]], e.at
	}
	for i, c := range s.computed {
		if c == k {
			return s.fullVecs[i], e.at
		}
	}
	panic(fmt.Sprintf("transform: key column %d is neither plain nor computed", k))
}

// checkKeys refuses NULL in an output key.
func (s *Stage) checkKeys(in *change.Batch) error {
	for _, k := range s.key {
		for _, e := range s.emits {
			v, at := s.keyAt(in, k, e)
			if v.Nulls == nil && s.plain[k] >= 0 {
				break
			}
			if v.Null(at) {
				return s.failed(in, int(e.row), schemas.Errorf(schemas.CodeConstraint, "23502", "key column %s of %s is NULL", s.table.Output.Columns[k].Name, s.table.Output.FullName()))
			}
		}
	}
	return nil
}

// dropUnchangedKeys takes back the delete of an old row that the update after it
// replaces under the same key.
func (s *Stage) dropUnchangedKeys(in *change.Batch) {
	kept := s.emits[:0]
	for i, e := range s.emits {
		if in.Ops[e.row] == change.Before && i+1 < len(s.emits) && s.emits[i+1].row == e.row+1 &&
			in.Ops[e.row+1] == change.Update && s.sameKey(in, e, s.emits[i+1]) {
			continue
		}
		kept = append(kept, e)
	}
	s.emits = kept
}

func (s *Stage) sameKey(in *change.Batch, a, b emit) bool {
	for _, k := range s.key {
		v, i := s.keyAt(in, k, a)
		w, j := s.keyAt(in, k, b)
		if kernel.Compare(v, i, w, j) != 0 {
			return false
		}
	}
	return true
}
