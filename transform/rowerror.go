package transform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// present refuses to evaluate values that were not sent. A NULL in their place
// would be a wrong answer.
func (s *Stage) present(in *change.Batch, reads readSet, rows []uint32) error {
	for _, c := range reads {
		if c >= len(in.Absent) || in.Absent[c] == nil {
			continue
		}
		for _, r := range rows {
			if in.IsAbsent(c, int(r)) {
				t := s.table.Source
				return s.failed(in, int(r), &schemas.Error{Code: schemas.CodeSource, SQLState: "55000",
					Message: fmt.Sprintf("the source did not send column %s, which the pipeline reads", t.Columns[c].Name),
					Hint:    ReplicaIdentityFull(t)})
			}
		}
	}
	return nil
}

// ReplicaIdentityFull is the statement that makes PostgreSQL send whole old rows.
func ReplicaIdentityFull(t *schemas.Table) string {
	return fmt.Sprintf("ALTER TABLE %s.%s REPLICA IDENTITY FULL;", quoteName(t.Schema), quoteName(t.Name))
}

func quoteName(s string) string {
	for i, r := range s {
		if !(r == '_' || r >= 'a' && r <= 'z' || i > 0 && (r >= '0' && r <= '9' || r == '$')) {
			return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
	}
	return s
}

// rowError places an error of a kernel: in the stream and in the pipeline's file.
func (s *Stage) rowError(in *change.Batch, clause string, err error) error {
	var row *kernel.RowError
	if errors.As(err, &row) {
		return s.failed(in, row.Row, s.placed(clause, row.Err))
	}
	return fmt.Errorf("transform %s: %w", s.table.Source.FullName(), err)
}

// placed turns the position within a clause into a place that people can open.
func (s *Stage) placed(clause string, err error) error {
	var e *schemas.Error
	if s.table.Place == nil || !errors.As(err, &e) || !e.Pos.Known() {
		return err
	}
	c := *e
	c.Message, c.Pos = fmt.Sprintf("%s (%s of %s)", e.Message, clause, s.table.Place(clause, e.Pos)), schemas.Pos{}
	return &c
}

// failed says which change it was: table, key and position.
func (s *Stage) failed(in *change.Batch, row int, err error) error {
	e := &schemas.Error{Code: schemas.CodeOf(err), Err: err}
	var cause *schemas.Error
	if errors.As(err, &cause) {
		*e = *cause
		e.Err = nil
	} else {
		e.Message = "evaluate"
	}
	e.Message = fmt.Sprintf("transform %s, %s of row %s at %s, change %d: %s", s.table.Source.FullName(), in.Ops[row],
		keyText(in, row), in.LSN[row], in.Ordinal[row], e.Message)
	return e
}

// keyText shows a row's source key: (id=7, line_no=1).
func keyText(in *change.Batch, row int) string {
	var parts []string
	for _, k := range in.Table.KeyOrdinals() {
		v := in.Cols[k]
		text := "NULL"
		if !v.Null(row) {
			text = string(pgtext.AppendVector(nil, v, row))
		}
		if len(text) > 64 {
			text = text[:64] + "…"
		}
		parts = append(parts, in.Table.Columns[k].Name+"="+text)
	}
	return "(" + strings.Join(parts, ", ") + ")"
}
