package columnstore

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// validate refuses a load whose batches could not be applied or stored: what is
// logged must be publishable.
func (s *Store) validate(l *load.Load) error {
	st := s.visible.Load()
	for _, b := range l.Batches {
		if b.Table == nil {
			return schemas.Errorf(schemas.CodeInvalid, "22023", "a batch names no table")
		}
		t, ok := st.tables[b.Table.FullName()]
		if !ok || t.def.Pipeline != l.Lease.Pipeline {
			return &schemas.Error{Code: schemas.CodeUnknownTable, SQLState: "42P01", Hint: "register the pipeline version that writes it",
				Message: fmt.Sprintf("pipeline %s does not write table %s", l.Lease.Pipeline, b.Table.FullName())}
		}
		if b.Table != t.def.Schema {
			for _, c := range b.Table.Columns {
				if i := t.def.Schema.Ordinal(c.ID); i < 0 || t.def.Schema.Columns[i].Type.Kind != c.Type.Kind {
					return schemas.Errorf(schemas.CodeInvalid, "42804", "table %s has no column %d (%s) of type %v", b.Table.FullName(), c.ID, c.Name, c.Type)
				}
			}
			for _, id := range t.def.Schema.Key {
				if b.Table.Ordinal(id) < 0 {
					return schemas.Errorf(schemas.CodeInvalid, "42P16", "a batch of table %s lacks key column %d", b.Table.FullName(), id)
				}
			}
		}
		if err := validateBatch(t.def.Schema, b); err != nil {
			return err
		}
	}
	return nil
}

func validateBatch(t *schemas.Table, b *change.Batch) error {
	if len(b.Cols) != len(b.Table.Columns) || len(b.LSN) != b.Len() || len(b.Ordinal) != b.Len() {
		return schemas.Errorf(schemas.CodeInvalid, "22023", "a batch of table %s is inconsistent", t.FullName())
	}
	for i, op := range b.Ops {
		if op < change.Insert || op > change.Before {
			return schemas.Errorf(schemas.CodeInvalid, "22023", "table %s: unknown operation %d", t.FullName(), op)
		}
		if len(t.Key) == 0 && op != change.Insert && op != change.Before {
			return &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000",
				Message: fmt.Sprintf("table %s is append-only, but the change at %s is an %v", t.FullName(), b.LSN[i], op),
				Hint:    "give the source table a primary key or a replica identity and a key in the pipeline, then resync"}
		}
	}
	for i, c := range b.Table.Columns {
		if err := validateColumn(t, c, b, i); err != nil {
			return err
		}
	}
	return nil
}

func validateColumn(t *schemas.Table, c schemas.Column, b *change.Batch, i int) error {
	v := b.Cols[i]
	if v == nil || v.Len != b.Len() {
		return schemas.Errorf(schemas.CodeInvalid, "22023", "table %s: column %s does not have %d rows", t.FullName(), c.Name, b.Len())
	}
	if t.IsKey(c.ID) && v.Nulls.Any() {
		for r, op := range b.Ops {
			if op != change.Before && v.Null(r) {
				return schemas.Errorf(schemas.CodeConstraint, "23502", "table %s: key column %s is NULL in the change at %s", t.FullName(), c.Name, b.LSN[r])
			}
		}
	}
	switch c.Type.Kind {
	case schemas.Date:
		for r := range b.Ops {
			if n := v.Int(r); n != schemas.InfinityTime && n != schemas.NegInfinityTime && (n >= math.MaxInt32 || n <= -math.MaxInt32) {
				return schemas.Errorf(schemas.CodeOutOfRange, "22008", "table %s: date of %d days in column %s cannot be stored", t.FullName(), n, c.Name)
			}
		}
	case schemas.UUID:
		for r := range b.Ops {
			if !v.Null(r) && len(v.Bytes(r)) != 16 {
				return schemas.Errorf(schemas.CodeInvalidText, "22P02", "table %s: uuid of %d bytes in column %s", t.FullName(), len(v.Bytes(r)), c.Name)
			}
		}
	}
	return nil
}
