// Package loadlog encodes loads as records of the warehouse's load log: what a
// worker sent, in the narrowest plain form, so that staging, spilling and
// recovery all read the same bytes.
//
//	+---------+-----------------------------------------------------+---------+-----+
//	| version | pipeline, epoch, partition, [from,to), offset, JSON | batch 0 | ... |
//	+---------+-----------------------------------------------------+---------+-----+
//
// and a batch
//
//	+-------+------+-----+------+----------+-------------------------------+-----+
//	| table | rows | ops | LSNs | ordinals | column: id, kind, flags, data | ... |
//	+-------+------+-----+------+----------+-------------------------------+-----+
//
// Numbers are varints; columns of numbers are a base and codes of 0, 1, 2, 4 or 8
// bytes, little-endian. The log itself (internal/wal) checksums each record.
package loadlog

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

const version = 1

// Record is a load as the log holds it.
type Record struct {
	Pipeline   string
	Epoch      uint64
	Partition  load.Partition
	From, To   uint64
	NextOffset int64
	Begin      *load.Begin
	Progress   []load.Progress
	// Batches are still encoded; they alias the record's bytes.
	Batches []Batch
}

// Batch is one encoded change batch.
type Batch struct {
	Table          string // full name
	Rows           int
	MinLSN, MaxLSN schemas.LSN
	data           []byte // after the header
}

// Size is the bytes that the encoded batch takes.
func (b *Batch) Size() int64 { return int64(len(b.data)) }

// Moves says whether rows come with an old key, see change.Before.
func (b *Batch) Moves() bool {
	return bytes.IndexByte(b.data[:min(b.Rows, len(b.data))], byte(change.Before)) >= 0
}

type control struct {
	Begin    *load.Begin     `json:"begin,omitempty"`
	Progress []load.Progress `json:"progress,omitempty"`
}

// Encode appends a load to dst.
func Encode(dst []byte, pipeline string, l *load.Load) ([]byte, error) {
	w := writer{b: append(dst, version)}
	w.str(pipeline)
	w.uvarint(l.Epoch)
	w.str(l.Lease.Partition.Topic)
	w.uvarint(uint64(l.Lease.Partition.Index))
	w.uvarint(l.From)
	w.uvarint(l.To)
	w.varint(l.NextOffset)
	var ctl []byte
	if l.Begin != nil || len(l.Progress) > 0 {
		var err error
		if ctl, err = json.Marshal(control{l.Begin, l.Progress}); err != nil {
			return nil, fmt.Errorf("encode progress: %w", err)
		}
	}
	w.bytes(ctl)
	n := 0
	for _, b := range l.Batches {
		if b.Len() > 0 {
			n++
		}
	}
	w.uvarint(uint64(n))
	for _, b := range l.Batches {
		if b.Len() > 0 {
			if err := w.batch(b); err != nil {
				return nil, err
			}
		}
	}
	return w.b, nil
}

func (w *writer) batch(b *change.Batch) error {
	lo, hi := b.LSN[0], b.LSN[0]
	for _, l := range b.LSN {
		lo, hi = min(lo, l), max(hi, l)
	}
	w.str(b.Table.FullName())
	w.uvarint(uint64(b.Len()))
	w.uvarint(uint64(lo))
	w.uvarint(uint64(hi))
	body := writer{b: w.take()}
	if err := body.changes(b, lo, hi); err != nil {
		return fmt.Errorf("encode changes of %s: %w", b.Table.FullName(), err)
	}
	w.bytes(body.b)
	w.spare = body.b
	return nil
}

// Decode reads a record's frame. Batches are decoded one by one with Changes.
func Decode(data []byte) (*Record, error) {
	r := reader{b: data}
	if v := r.byte(); r.err == nil && v != version {
		return nil, schemas.Errorf(schemas.CodeUnsupported, "0A000", "load record format %d; this program reads format %d", v, version)
	}
	rec := &Record{Pipeline: r.str(), Epoch: r.uvarint()}
	rec.Partition = load.Partition{Topic: r.str(), Index: int32(r.uvarint())}
	rec.From, rec.To, rec.NextOffset = r.uvarint(), r.uvarint(), r.varint()
	if ctl := r.bytes(); len(ctl) > 0 {
		var c control
		if err := json.Unmarshal(ctl, &c); err != nil {
			return nil, corrupt(err)
		}
		rec.Begin, rec.Progress = c.Begin, c.Progress
	}
	n := r.count()
	for range n {
		b := Batch{Table: r.str(), Rows: r.count(), MinLSN: schemas.LSN(r.uvarint()), MaxLSN: schemas.LSN(r.uvarint())}
		b.data = r.bytes()
		rec.Batches = append(rec.Batches, b)
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	return rec, r.err
}

func corrupt(err error) error {
	return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: "load record", Err: err,
		Hint: "restore the data folder from a backup, or resync from the source"}
}
