package commitlog

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/internal/wal"
	"github.com/millrace/millrace/schemas"
)

var ctx = context.Background()

// written is a transaction as the test wrote it.
type written struct {
	lsn     schemas.LSN
	time    int64
	changes []Change
}

func image(r *rand.Rand, n int) []byte {
	b := make([]byte, 1+r.IntN(n))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// write appends a random transaction; every tenth spans several records.
func write(t *testing.T, l *Log, e *Encoder, r *rand.Rand, i int) written {
	e.Reset()
	w := written{time: int64(i)}
	size := 100
	if i%10 == 9 {
		size = 700 << 10
	}
	for n := range 1 + r.IntN(6) {
		c := Change{Op: Insert + Op(r.IntN(5)), Table: r.Uint32(), Ordinal: uint32(n)}
		if c.Op.hasBefore() {
			c.Before = image(r, size)
		}
		if c.Op.hasAfter() {
			c.After = image(r, size)
		}
		e.Add(c.Op, c.Table, c.Before, c.After)
		w.changes = append(w.changes, c)
	}
	require.Equal(t, len(w.changes), e.Len())
	lsn, err := l.Append(e, w.time)
	require.NoError(t, err)
	w.lsn = lsn
	return w
}

func read(t *testing.T, tx *Tx) written {
	w := written{lsn: tx.LSN, time: tx.Time}
	require.NoError(t, tx.Each(ctx, func(c Change) error {
		c.Before, c.After = bytes.Clone(c.Before), bytes.Clone(c.After)
		w.changes = append(w.changes, c)
		return nil
	}))
	return w
}

func TestTransactionsRoundTrip(t *testing.T) {
	fsys := vfstest.NewMem()
	o := wal.Options{FS: fsys, SegmentBytes: 1 << 20}
	l, err := Open("/log", o)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 1))
	var e Encoder
	var txs []written
	for i := range 100 {
		txs = append(txs, write(t, l, &e, r, i))
	}
	require.NoError(t, l.WaitDurable(ctx, l.EndLSN()))
	check := func() {
		from := schemas.LSN(0)
		for i := 0; i <= len(txs); i += 7 {
			reader, err := l.NewReader(from)
			require.NoError(t, err)
			for _, want := range txs[i:] {
				require.LessOrEqual(t, reader.Position(), want.lsn)
				tx, err := reader.Next(ctx)
				require.NoError(t, err)
				require.Equal(t, want, read(t, tx))
				require.Equal(t, want, read(t, tx), "a transaction can be read again")
			}
			tx, err := reader.TryNext()
			require.NoError(t, err)
			require.Nil(t, tx)
			require.NoError(t, reader.Close())
			if i+7 <= len(txs) {
				from = txs[i+6].lsn
			}
		}
	}
	check()
	require.NoError(t, l.Close())
	l, err = Open("/log", o)
	require.NoError(t, err)
	defer l.Close()
	check()
}

func TestEmptyTransaction(t *testing.T) {
	l, err := Open("/log", wal.Options{FS: vfstest.NewMem()})
	require.NoError(t, err)
	defer l.Close()
	var e Encoder
	lsn, err := l.Append(&e, 5)
	require.NoError(t, err)
	reader, err := l.NewReader(0)
	require.NoError(t, err)
	defer reader.Close()
	tx, err := reader.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, written{lsn: lsn, time: 5}, read(t, tx))
}

func FuzzRecord(f *testing.F) {
	var e Encoder
	e.Add(Insert, 1, nil, []byte("after"))
	e.Add(Update, 300, []byte("before"), []byte("after"))
	e.Add(Delete, 1, []byte("before"), nil)
	e.Add(Truncate, 1, nil, nil)
	f.Add(e.records(7, nil)[0])
	f.Fuzz(func(t *testing.T, data []byte) {
		var again Encoder
		h, err := decodeHeader(data)
		if err != nil {
			return
		}
		again.count = h.first
		err = each(data, func(c Change) error {
			again.Add(c.Op, c.Table, c.Before, c.After)
			return nil
		})
		if err != nil || again.Len() == int(h.first) || again.full != nil {
			return
		}
		var a, b []Change
		require.NoError(t, each(data, func(c Change) error { a = append(a, c); return nil }))
		require.NoError(t, each(again.records(h.micros, nil)[0], func(c Change) error { b = append(b, c); return nil }))
		require.Equal(t, a, b)
	})
}
