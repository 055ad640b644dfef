package columnstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// altered copies a table and changes the copy.
func altered(t *schemas.Table, change func(*schemas.Table)) *schemas.Table {
	n := *t
	n.Columns, n.Key = append([]schemas.Column(nil), t.Columns...), append([]uint32(nil), t.Key...)
	change(&n)
	return &n
}

// simWide is another version of the sample pipeline, with a column more.
func simWide() load.Pipeline {
	p := simPipe("v2")
	p.Outputs[0].Table = altered(tableA, func(a *schemas.Table) {
		a.Columns = append(a.Columns, schemas.Column{ID: 7, Name: "extra", Type: schemas.Type{Kind: schemas.Int32}})
	})
	return p
}

// version registers another version over loaded rows and sees its run refused, the
// tables as they were, and the old version go on.
func version(t *testing.T, st *Store, next load.Pipeline, grant func() error) {
	t.Helper()
	ctx := context.Background()
	require.NoError(t, st.Register(ctx, next))
	require.ErrorContains(t, grant(), "pipeline pipe was changed since its tables were loaded")
	for _, o := range simPipe("v1").Outputs {
		require.Len(t, st.visible.Load().tables[o.Table.FullName()].def.Schema.Columns, len(o.Table.Columns), "a refused run changed %s", o.Table.FullName())
	}
	require.NoError(t, st.Register(ctx, simPipe("v1")))
	require.NoError(t, grant())
}

// TestReshaped: a run that goes on where another ended must capture tables of the
// same shape (I2), also after a restart; one that begins with a snapshot need not.
func TestReshaped(t *testing.T) {
	ctx := context.Background()
	o := simOptions(vfstest.NewMem(), newClock())
	st := openSim(t, o)
	defer func() { require.NoError(t, st.Close()) }()
	require.NoError(t, st.Register(ctx, simPipe("v1")))
	run := newSim(1).run0(true)
	run.Tables = []*schemas.Table{tableA, tableB}
	g, err := st.Grant(ctx, run)
	require.NoError(t, err)
	grant := func(snapshot bool, tables ...*schemas.Table) error {
		next := run
		next.Snapshot, next.Tables = snapshot, tables
		_, err := st.Grant(ctx, next)
		return err
	}
	wide := altered(tableA, func(a *schemas.Table) {
		a.Columns = append(a.Columns, schemas.Column{ID: 7, Name: "extra", Type: schemas.Type{Kind: schemas.Int32}})
	})
	require.NoError(t, grant(true, wide, tableB), "nothing is loaded yet")
	require.NoError(t, grant(true, tableA, tableB))

	ls, err := st.Acquire(ctx, simPipeline, "w", 0)
	require.NoError(t, err)
	g.Epoch = ls[0].Epoch
	_, err = st.Load(ctx, &load.Load{Lease: ls[0], Epoch: g.Epoch, Version: "v1", From: 0, To: 2,
		Begin: &load.Begin{Epoch: g.Epoch}, Progress: []load.Progress{{Epoch: g.Epoch, To: 10, Full: true}}})
	require.NoError(t, err)
	require.Equal(t, schemas.LSN(10), settleAll(t, st).DurableW)

	for range 2 {
		for _, c := range []struct {
			tables []*schemas.Table
			says   string
		}{
			{[]*schemas.Table{wide, tableB}, "public.a was changed while it was not captured: column extra is new"},
			{[]*schemas.Table{altered(tableA, func(a *schemas.Table) { a.Columns = a.Columns[:2] }), tableB}, "column toast was dropped"},
			{[]*schemas.Table{altered(tableA, func(a *schemas.Table) { a.Columns[1].Name = "sum" }), tableB}, "column amount was renamed to sum"},
			{[]*schemas.Table{altered(tableA, func(a *schemas.Table) { a.Columns[1].Type.Kind = schemas.Int64 }), tableB}, "column amount was numeric and is bigint"},
			{[]*schemas.Table{altered(tableA, func(a *schemas.Table) { a.Columns[1], a.Columns[2] = a.Columns[2], a.Columns[1] }), tableB}, "another order"},
			{[]*schemas.Table{tableA, altered(tableB, func(b *schemas.Table) { b.Key[0], b.Key[1] = b.Key[1], b.Key[0] })}, "public.b was changed while it was not captured: its key is another"},
			{[]*schemas.Table{altered(tableA, func(a *schemas.Table) { a.Version++ }), tableB}, "dropped and made anew"},
			{[]*schemas.Table{tableA, tableB, tableC}, "public.c was not captured before"},
		} {
			err := grant(false, c.tables...)
			require.ErrorContains(t, err, c.says)
			var e *schemas.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, schemas.CodeSource, e.Code)
			require.Equal(t, "55000", e.SQLState)
			require.False(t, e.Retryable)
			require.Contains(t, e.Hint, "resync")
		}
		require.NoError(t, grant(false, tableB, tableA), "the same tables, listed in another order")
		require.NoError(t, st.Flush(ctx))
		require.NoError(t, st.Close())
		st = openSim(t, o)
	}
	version(t, st, simWide(), func() error { return grant(false, tableA, tableB) })
	require.NoError(t, grant(false, tableA), "a table that is no longer captured")
	require.ErrorContains(t, grant(false, tableA, tableB), "public.b was not captured before", "it was left out for a run")
	require.NoError(t, grant(true, wide, tableB, tableC), "a snapshot loads everything anew")
}
