package wal

import (
	"bytes"
	"os"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
)

// memFile is a file with given bytes, for reading; it has no other methods.
type memFile struct {
	vfs.File
	data []byte
}

func (f memFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f memFile) Stat() (os.FileInfo, error) { return sizeOnly{size: int64(len(f.data))}, nil }

type sizeOnly struct {
	os.FileInfo
	size int64
}

func (s sizeOnly) Size() int64 { return s.size }

func asFile(data []byte) vfs.File { return memFile{data: data} }

// FuzzSegment reads arbitrary bytes as a segment: no panic, no wild allocation,
// and whatever comes out is what an intact record holds.
func FuzzSegment(f *testing.F) {
	id := ID{1, 2, 3}
	data := segmentInfo{id: id, newLife: true}.encode()
	at, since := LSN(0), uint32(0)
	for _, p := range []string{"one", "", "three"} {
		data = appendRecord(data, id.seed(), at, since, kindRecord, 0, []byte(p))
		at += recordHeader + LSN(len(p))
	}
	data = appendRecord(data, id.seed(), at, 0, kindPad, 0, nil)
	f.Add(data, uint16(0), byte(77))
	f.Add(data, uint16(segmentHeader+4), byte(255))
	f.Add(data, uint16(segmentHeader+recordHeader+3+9), byte(1))
	f.Add([]byte("garbage"), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint16, value byte) {
		if int(at) < len(data) {
			data[at] = value
		}
		info, err := decodeSegmentInfo(data)
		if err != nil {
			info = segmentInfo{id: id}
		}
		s := newSegment("fuzzed", info, asFile(data))
		found, err := scanTail(s)
		if err == nil && (found.end > found.next || found.next > s.start+LSN(len(data))) {
			t.Errorf("tail %+v of %d bytes", found, len(data))
		}
	})
}

// FuzzRecord encodes and decodes a record between others, intact and with one bit
// inverted.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("payload"), uint64(100), uint32(10), uint32(5))
	f.Add([]byte{}, uint64(0), uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, payload []byte, start uint64, since, flip uint32) {
		start >>= 2
		since = uint32(min(uint64(since), start))
		seed := ID{9}.seed()
		b := appendRecord(nil, seed, LSN(start), since, kindRecord, flagMore, payload)
		h := decodeHeader(b)
		if !h.plausible(LSN(start)) || h.size() != LSN(len(b)) || h.since != since || h.flags != flagMore || !intact(seed, b) {
			t.Fatalf("header %+v", h)
		}
		if !bytes.Equal(b[recordHeader:], payload) || intact(ID{8}.seed(), b) {
			t.Fatal("payload, or another log's record passes")
		}
		b[int(flip/8)%len(b)] ^= 1 << (flip % 8)
		if intact(seed, b) {
			t.Fatalf("bit %d goes unnoticed", flip)
		}
	})
}
