package stream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/schemas/load"
)

// damage flips bits of logs on disk.
func damage(r *rand.Rand) func(string) {
	return func(data string) {
		_ = filepath.Walk(data, func(path string, i os.FileInfo, err error) error {
			if err != nil || !strings.HasSuffix(path, ".dat") || i.Size() == 0 || r.IntN(2) == 0 {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			return os.WriteFile(path, b, 0o644)
		})
	}
}

// Corrupt logs are never believed: the source replays (I8).
func TestCorruptLogs(t *testing.T) {
	seeds := 4
	if testing.Short() {
		seeds = 1
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t, 40+seed)
			r.commits(50, 5)
			r.startCapture()
			r.commits(200, 5)
			time.Sleep(100 * time.Millisecond)
			r.restartBroker(damage(rand.New(rand.NewPCG(seed, 1))))
			r.startWorkers()
			r.commits(50, 5)
			r.reaches(r.source.End())
		})
	}
}

// Everything at once, at random, again and again; in the end nothing is missing
// and nothing is there twice.
func TestChaos(t *testing.T) {
	seeds := 8
	if testing.Short() {
		seeds = 1
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 77))
	r := newRig(t, seed)
	capture, workers := r.proxied()
	r.options.MaxMessageBytes = 3000 // chunks everywhere
	r.commits(30, 5)
	stop := r.startCapture()
	r.startWorkers()
	r.reaches(r.source.End())
	busy := r.background(func(ctx context.Context) {
		for ctx.Err() == nil {
			r.commits(5, 40)
			time.Sleep(2 * time.Millisecond)
		}
	})
	for range 15 {
		time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
		switch rnd.IntN(9) {
		case 0:
			capture.Mute(true)
			time.Sleep(5 * time.Millisecond)
			capture.Mute(false)
		case 1:
			capture.Cut()
		case 2:
			workers.Cut()
		case 3:
			r.restartBroker(nil)
		case 4:
			r.restartBroker(wipe)
		case 5:
			r.restartBroker(cutTails(t, "", int64(rnd.IntN(3000))))
		case 6:
			stop()
			stop = r.startCapture()
		case 7:
			r.house.Down(true)
			time.Sleep(20 * time.Millisecond)
			r.house.Down(false)
		case 8:
			r.restartBroker(damage(rnd))
		}
	}
	busy()
	r.reaches(r.commits(20, 5))
}

// A lease whose hint is past the epoch's marker, or of another log, reads from where
// the epoch begins; a lease in the middle gets what follows; a newer epoch ends it.
func TestLeases(t *testing.T) {
	r := newRig(t, 60)
	r.commits(100, 5)
	stop := r.startCapture()
	r.startWorkers()
	r.reaches(r.source.End())
	part := load.Partition{Topic: stream.ProgressTopic("shop")}
	k, err := stream.NewConsumer(stream.ConsumerOptions{Brokers: []string{r.addr}})
	require.NoError(t, err)
	defer func() { _ = k.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	first := func(l load.Lease) (stream.Message, error) {
		rd := k.Open(l)
		defer func() { _ = rd.Close() }()
		ms, err := rd.Next(ctx)
		if err != nil {
			return stream.Message{}, err
		}
		return ms[0], nil
	}
	for _, offset := range []int64{0, 1, 3, 1000} {
		m, err := first(load.Lease{Partition: part, Epoch: 1, Offset: offset})
		require.NoError(t, err, "offset %d", offset)
		require.Equal(t, stream.KindBegin, m.Kind)
		require.Zero(t, m.Sequence)
	}
	m, err := first(load.Lease{Partition: part, Epoch: 1, NextSequence: 2, Offset: 0})
	require.NoError(t, err)
	require.EqualValues(t, 2, m.Sequence)
	require.EqualValues(t, 3, m.NextOffset)
	var lost *stream.LostError
	_, err = first(load.Lease{Partition: part, Epoch: 1, NextSequence: 2, Offset: 3})
	require.ErrorAs(t, err, &lost)
	_, err = first(load.Lease{Partition: part, Epoch: 1, NextSequence: 2, Offset: 100000})
	require.ErrorAs(t, err, &lost)
	require.ErrorContains(t, err, "out of range")
	stop()
	r.startCapture()
	r.reaches(r.commits(5, 5))
	old := k.Open(load.Lease{Partition: part, Epoch: 1})
	for err = nil; err == nil; {
		_, err = old.Next(ctx)
	}
	require.ErrorIs(t, err, stream.ErrSuperseded)
	m, err = first(load.Lease{Partition: part, Epoch: 2})
	require.NoError(t, err)
	require.EqualValues(t, 2, m.Begin.Epoch)
	require.NoError(t, old.Close())
	short, cancel2 := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel2()
	_, err = k.Open(load.Lease{Partition: load.Partition{Topic: "none"}, Epoch: 1}).Next(short)
	require.ErrorIs(t, err, context.DeadlineExceeded, "a topic that is not there yet is waited for")
	require.NoError(t, k.Close())
	_, err = k.Open(load.Lease{Partition: part, Epoch: 2}).Next(ctx)
	require.Error(t, err)
}
