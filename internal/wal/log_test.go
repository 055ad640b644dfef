package wal

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
)

var ctx = context.Background()

func open(t testing.TB, fsys vfs.FS, opts Options) *Log {
	t.Helper()
	opts.FS = fsys
	l, err := Open("/log", opts)
	require.NoError(t, err)
	return l
}

// appendSync adds one batch and waits for it.
func appendSync(t testing.TB, l *Log, payloads ...string) LSN {
	t.Helper()
	_, end, err := l.Append(asBytes(payloads)...)
	require.NoError(t, err)
	require.NoError(t, l.WaitDurable(ctx, end))
	return end
}

func asBytes(payloads []string) [][]byte {
	b := make([][]byte, len(payloads))
	for i, p := range payloads {
		b[i] = []byte(p)
	}
	return b
}

// contents reads everything durable after from.
func contents(t testing.TB, l *Log, from LSN) []string {
	t.Helper()
	got, err := read(l, from)
	require.NoError(t, err)
	return got
}

func read(l *Log, from LSN) ([]string, error) {
	r, err := l.NewReader(from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var got []string
	for {
		rec, ok, err := r.TryNext()
		if err != nil || !ok {
			return got, err
		}
		got = append(got, string(rec.Payload))
	}
}

func numbered(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprintf("record %d", i))
	}
	return s
}

func TestAppendReadReopen(t *testing.T) {
	for _, align := range []int{1, 512, 4096} {
		fsys := vfstest.NewMem()
		opts := Options{SegmentBytes: 2048, Align: align}
		l := open(t, fsys, opts)
		require.True(t, l.Recovery().Created)
		ends := map[int]LSN{}
		for i := range 100 {
			ends[i] = appendSync(t, l, fmt.Sprintf("record %d", i))
		}
		require.Equal(t, ends[99], l.DurableLSN())
		require.Greater(t, len(l.segmentStarts()), 1)
		require.Equal(t, numbered(0, 100), contents(t, l, 0))
		for i, end := range ends {
			require.Equal(t, numbered(i+1, 100), contents(t, l, end))
			require.Equal(t, numbered(i, 100), contents(t, l, end-1))
		}
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		_, _, err := l.Append([]byte("x"))
		require.ErrorIs(t, err, ErrClosed)

		id := l.ID()
		l = open(t, fsys, opts)
		require.Equal(t, Recovery{ID: id, End: ends[99], Marked: true}, l.Recovery())
		require.Equal(t, ends[99], l.DurableLSN())
		require.Equal(t, ends[99], l.AppendedLSN())
		appendSync(t, l, "record 100", "record 101")
		require.Equal(t, numbered(0, 102), contents(t, l, 0))
		require.Equal(t, numbered(100, 102), contents(t, l, ends[99]))
		require.NoError(t, l.Close())
	}
}

func TestEmptyAndLargeRecords(t *testing.T) {
	fsys := vfstest.NewMem()
	l := open(t, fsys, Options{SegmentBytes: 4096})
	large := string(make([]byte, 100_000))
	appendSync(t, l, "")
	appendSync(t, l, large, "", large)
	appendSync(t, l, "last")
	want := []string{"", large, "", large, "last"}
	require.Equal(t, want, contents(t, l, 0))
	require.NoError(t, l.Close())
	l = open(t, fsys, Options{SegmentBytes: 4096})
	require.Equal(t, want, contents(t, l, 0))
	require.NoError(t, l.Close())
}

func TestOpenTwiceIsRefused(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{SegmentBytes: 1 << 16})
	require.NoError(t, err)
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, vfs.ErrLocked)
	require.NoError(t, l.Close())
}

func TestWaits(t *testing.T) {
	l := open(t, vfstest.NewMem(), Options{})
	require.ErrorIs(t, l.WaitDurable(ctx, 1), ErrAhead)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := l.WaitBeyond(short, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = l.NewReader(100)
	require.ErrorIs(t, err, ErrAhead)

	woken := make(chan LSN)
	go func() {
		lsn, _ := l.WaitBeyond(ctx, 0)
		woken <- lsn
	}()
	end := appendSync(t, l, "x")
	require.Equal(t, end, <-woken)
	go func() {
		_, err = l.WaitBeyond(ctx, end)
		woken <- 0
	}()
	time.Sleep(time.Millisecond)
	require.NoError(t, l.Close())
	<-woken
	require.ErrorIs(t, err, ErrClosed)
}

func TestTruncateBefore(t *testing.T) {
	fsys := vfstest.NewMem()
	opts := Options{SegmentBytes: 1024, Recycle: 1}
	l := open(t, fsys, opts)
	var ends []LSN
	for i := range 100 {
		ends = append(ends, appendSync(t, l, fmt.Sprintf("record %d", i)))
	}
	behind, err := l.NewReader(0)
	require.NoError(t, err)
	defer behind.Close()
	segments := len(l.segmentStarts())
	require.NoError(t, l.TruncateBefore(ends[79]))
	require.Less(t, len(l.segmentStarts()), segments)
	require.LessOrEqual(t, l.OldestLSN(), ends[79])
	require.Equal(t, numbered(80, 100), contents(t, l, ends[79]))
	_, err = l.NewReader(0)
	require.ErrorIs(t, err, ErrReleased)
	// A reader inside a released segment finishes it and then learns the truth.
	for i := 0; ; i++ {
		rec, _, err := behind.TryNext()
		if err != nil {
			require.ErrorIs(t, err, ErrReleased)
			require.Greater(t, i, 5)
			break
		}
		require.Equal(t, fmt.Sprintf("record %d", i), string(rec.Payload))
	}
	// Recycled files carry old records: they must not show.
	for i := 100; i < 400; i++ {
		ends = append(ends, appendSync(t, l, fmt.Sprintf("record %d", i)))
		require.NoError(t, l.TruncateBefore(ends[i-20]))
	}
	require.Equal(t, numbered(380, 400), contents(t, l, ends[379]))
	require.NoError(t, l.Close())
	l = open(t, fsys, opts)
	require.Equal(t, numbered(380, 400), contents(t, l, ends[379]))
	require.Equal(t, ends[399], l.DurableLSN())
	require.NoError(t, l.TruncateBefore(1<<60))
	require.Len(t, l.segmentStarts(), 1)
	require.NoError(t, l.Close())
}
