// Package kv is the contract between the transactional layer and a storage
// engine: an ordered map from byte keys to byte values, many versions of each,
// whose durability comes from the commit log above it. Engines never sync on
// commit; they checkpoint, and recovery replays the log from the checkpoint's LSN.
// An engine makes nothing durable that the log could still lose: its options carry
// a function that waits until the log is durable up to an LSN.
package kv

import (
	"context"
	"errors"
)

// ErrNotFound says that a key has no value at the asked LSN. An I/O or checksum
// error is never reported as ErrNotFound (I8).
var ErrNotFound = errors.New("key not found")

// ErrCorrupt is wrapped by every error that stands for a failed checksum or an
// impossible structure (I8).
var ErrCorrupt = errors.New("storage is corrupt")

// ErrSnapshotGone says that the asked LSN is below the horizon: versions that it
// would show may have been dropped.
var ErrSnapshotGone = errors.New("snapshot is older than the horizon")

// Op is one write of a batch. A nil Value is a deletion; an empty one is a value.
type Op struct {
	Key, Value []byte
}

// Engine is an ordered multi-version map. Keys compare bytewise. All methods are
// safe for concurrent use, but Apply has one caller at a time, in LSN order.
type Engine interface {
	// Apply makes a batch visible at lsn, which is greater than every one
	// before. The engine copies what it keeps. It may block to slow writers
	// down (visible in Stats) but not fail for want of memory.
	Apply(lsn uint64, batch []Op) error
	// Get returns the newest value at or below lsn, appended to dst. It fails with
	// ErrSnapshotGone below the horizon.
	Get(dst, key []byte, lsn uint64) ([]byte, error)
	// Iterate walks keys in [lower, upper) at lsn; nil bounds are open.
	Iterate(lower, upper []byte, lsn uint64) (Iterator, error)
	// Checkpoint makes everything applied so far durable and returns the LSN
	// that the durable state reaches: replay starts after it.
	Checkpoint(ctx context.Context) (uint64, error)
	// DurableLSN is the LSN of the newest durable checkpoint; 0 for none.
	DurableLSN() uint64
	// SetHorizon tells the oldest LSN that a reader may still ask for. Versions
	// that no reader at or above it can see may be dropped.
	SetHorizon(lsn uint64)
	// Verify walks every structure and checks every checksum.
	Verify(ctx context.Context) error
	// Stats returns counters for reports and metrics.
	Stats() Stats
	// Close stops background work. It does not checkpoint.
	Close() error
}

// Admitter is what an engine may be besides: one that can say, before a batch is
// logged, that it cannot take it. Admit waits while writers must slow down and
// fails, with CodeDiskFull say, when Apply would.
type Admitter interface {
	Admit(ctx context.Context) error
}

// Iterator walks live keys in order, in either direction. While open it holds the
// memory and the files of its snapshot. It starts before the
// first key: call SeekGE, First or Last, or Next for the first. Past the last key,
// Prev goes back to it; before the first, Next goes to that. Key and Value hold
// until the next move. After false from a move, Err tells an end from a failure.
type Iterator interface {
	First() bool
	Last() bool
	SeekGE(key []byte) bool
	SeekLT(key []byte) bool
	Next() bool
	Prev() bool
	Key() []byte
	Value() []byte
	Err() error
	Close() error
}

// Stats are an engine's counters since it was opened. Sizes are in bytes.
type Stats struct {
	Engine          string  `json:"engine"`
	MemoryBytes     int64   `json:"memory_bytes"`
	DiskBytes       int64   `json:"disk_bytes"`
	UserBytes       int64   `json:"user_bytes"`    // keys and values applied
	WrittenBytes    int64   `json:"written_bytes"` // to files
	CacheHits       int64   `json:"cache_hits"`
	CacheMisses     int64   `json:"cache_misses"`
	FilterHits      int64   `json:"filter_hits"` // reads a filter spared
	Flushes         int64   `json:"flushes"`
	Compactions     int64   `json:"compactions"`
	Stalls          int64   `json:"stalls"`
	StallSeconds    float64 `json:"stall_seconds"`
	Levels          []Level `json:"levels,omitempty"`
	OldestHorizon   uint64  `json:"oldest_horizon"`
	DurableLSN      uint64  `json:"durable_lsn"`
	ObsoleteDropped int64   `json:"obsolete_dropped"` // versions and tombstones
}

// Level is one level of an LSM tree.
type Level struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}
