package wal

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/millrace/millrace/internal/vfs"
)

const benchRecord = 128

// BenchmarkSync is the floor: a write and an fdatasync of one record in a
// preallocated file.
func BenchmarkSync(b *testing.B) {
	f, err := vfs.OS.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Preallocate(0, 64<<20); err != nil {
		b.Fatal(err)
	}
	h := hdrhistogram.New(1, 1e10, 3)
	buf := make([]byte, benchRecord+recordHeader)
	for i := 0; b.Loop(); i++ {
		begin := time.Now()
		if _, err := f.WriteAt(buf, int64(i*len(buf))); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		_ = h.RecordValue(int64(time.Since(begin)))
	}
	report(b, h)
}

// BenchmarkCommit appends a record and waits for it, from 1 to 128 goroutines.
func BenchmarkCommit(b *testing.B) {
	for _, align := range []int{1, 4096} {
		for _, writers := range []int{1, 8, 32, 128} {
			b.Run(fmt.Sprintf("align=%d/writers=%d", align, writers), func(b *testing.B) { commit(b, align, writers) })
		}
	}
}

func commit(b *testing.B, align, writers int) {
	var syncs atomic.Int64
	l, err := Open(b.TempDir(), Options{Align: align, OnSync: func(SyncInfo) { syncs.Add(1) }})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var left atomic.Int64
	left.Store(int64(b.N))
	h := hdrhistogram.New(1, 1e10, 3)
	var mu sync.Mutex
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			own := hdrhistogram.New(1, 1e10, 3)
			payload := make([]byte, benchRecord)
			for left.Add(-1) >= 0 {
				begin := time.Now()
				_, end, err := l.Append(payload)
				if err == nil {
					err = l.WaitDurable(ctx, end)
				}
				if err != nil {
					b.Error(err)
					return
				}
				_ = own.RecordValue(int64(time.Since(begin)))
			}
			mu.Lock()
			defer mu.Unlock()
			h.Merge(own)
		})
	}
	wg.Wait()
	b.StopTimer()
	report(b, h)
	b.ReportMetric(float64(b.N)/float64(syncs.Load()), "commits/sync")
}

func report(b *testing.B, h *hdrhistogram.Histogram) {
	b.ReportMetric(float64(h.ValueAtQuantile(50))/1e3, "p50-µs")
	b.ReportMetric(float64(h.ValueAtQuantile(99))/1e3, "p99-µs")
	b.ReportMetric(float64(h.ValueAtQuantile(99.9))/1e3, "p999-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTail measures from an append to its arrival at a tailing reader.
func BenchmarkTail(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r, err := l.NewReader(0)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	h := hdrhistogram.New(1, 1e10, 3)
	payload := make([]byte, benchRecord)
	for b.Loop() {
		begin := time.Now()
		if _, _, err := l.Append(payload); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Next(ctx); err != nil {
			b.Fatal(err)
		}
		_ = h.RecordValue(int64(time.Since(begin)))
	}
	report(b, h)
}

// BenchmarkRead reads a log that is in the page cache.
func BenchmarkRead(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	payload := make([]byte, benchRecord)
	for range 100_000 {
		if _, _, err := l.Append(payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(100_000 * (benchRecord + recordHeader))
	for b.Loop() {
		r, err := l.NewReader(0)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, ok, err := r.TryNext(); err != nil {
				b.Fatal(err)
			} else if !ok {
				break
			}
		}
		r.Close()
	}
}

// BenchmarkOpen recovers a log whose only segment is nearly empty, so that most of
// it must be seen to hold nothing.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		l, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := l.Append(make([]byte, benchRecord)); err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
