package transform

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas/change"
)

// write appends the emitted changes, in order, run by run of the same origin.
func (s *Stage) write(in, out *change.Batch) {
	for lo := 0; lo < len(s.emits); {
		hi := lo + 1
		for hi < len(s.emits) && s.emits[hi].keyOnly() == s.emits[lo].keyOnly() {
			hi++
		}
		s.writeRun(in, out, s.emits[lo:hi])
		lo = hi
	}
}

func (s *Stage) writeRun(in, out *change.Batch, run []emit) {
	first := out.Len()
	rows, places := make([]uint32, len(run)), make([]uint32, len(run))
	for i, e := range run {
		rows[i], places[i] = e.row, uint32(e.at)
		out.Ops = append(out.Ops, e.op)
		out.LSN = append(out.LSN, in.LSN[e.row])
		out.Ordinal = append(out.Ordinal, in.Ordinal[e.row])
	}
	if run[0].keyOnly() {
		s.writeDeleted(in, out, rows, places, first)
		return
	}
	for c, from := range s.plain {
		if from >= 0 {
			out.Cols[c].AppendRows(in.Cols[from], rows)
			passAbsent(in, from, rows, out, c, first)
		}
	}
	for i, c := range s.computed {
		out.Cols[c].AppendRows(s.fullVecs[i], places)
	}
}

// passAbsent carries the marks of values that were not sent through a plain column.
func passAbsent(in *change.Batch, from int, rows []uint32, out *change.Batch, to, first int) {
	if from >= len(in.Absent) || in.Absent[from] == nil {
		return
	}
	for i, r := range rows {
		if in.IsAbsent(from, int(r)) {
			out.SetAbsent(to, first+i)
		}
	}
}

// writeDeleted appends keys; every other column is absent.
func (s *Stage) writeDeleted(in, out *change.Batch, rows, places []uint32, first int) {
	for c := range out.Cols {
		switch at, isKey := s.keyOf[c]; {
		case isKey:
			out.Cols[c].AppendRows(s.goneVecs[at], places)
		case s.table.Output.IsKey(s.table.Output.Columns[c].ID):
			out.Cols[c].AppendRows(in.Cols[s.plain[c]], rows)
		default:
			appendAbsent(out, c, out.Cols[c], first, len(rows))
		}
	}
}

func appendAbsent(out *change.Batch, c int, v *vector.Vector, first, n int) {
	for i := range n {
		v.AppendNull()
		out.SetAbsent(c, first+i)
	}
}
