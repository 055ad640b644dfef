package columnstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

const (
	segmentSuffix = ".parquet"
	deletesSuffix = ".deletes"
)

// deletesHeader begins a file of deleted rows: magic and version, 12 bytes.
const deletesHeader = "MILLRDEL\x01\x00\x00\x00"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// roaringOf collects a segment's deleted rows by their number in the file.
func roaringOf(meta *segment.Meta, deleted []vector.Bitmap) *roaring.Bitmap {
	out, at := roaring.New(), uint32(0)
	var rows []uint32
	for i, b := range deleted {
		rows = b.AppendRows(rows[:0])
		for k := range rows {
			rows[k] += at
		}
		out.AddMany(rows)
		at += uint32(meta.Chunks[i].Rows)
	}
	out.RunOptimize()
	return out
}

// writeDeletes writes the deleted rows of segments that have more of them than the
// manifest knows into one file, and returns the references of a table.
func (s *Store) writeDeletes(name string, out *bytes.Buffer, states []table.SegmentState, known map[uint64]manifest.SegmentRef, metas map[uint64]*segment.Meta) ([]manifest.SegmentRef, error) {
	var refs []manifest.SegmentRef
	for _, st := range states {
		count := int64(0)
		for _, b := range st.Deleted {
			count += int64(b.Count())
		}
		ref := manifest.SegmentRef{ID: st.ID, Count: count}
		if old, ok := known[st.ID]; ok && old.Count == count {
			refs = append(refs, old) // rows are only ever added
			continue
		}
		if count > 0 {
			data, err := roaringOf(metas[st.ID], st.Deleted).ToBytes()
			if err != nil {
				return nil, fmt.Errorf("encode deleted rows: %w", err)
			}
			if out.Len() == 0 {
				out.WriteString(deletesHeader)
			}
			ref.Deletes = &manifest.Range{File: name, Off: int64(out.Len()), Len: int64(len(data)), CRC: crc32.Checksum(data, castagnoli)}
			out.Write(data)
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// readDeletes returns a segment's deleted rows, a bitmap a chunk, verified (I8).
func (s *Store) readDeletes(ref manifest.SegmentRef, meta *segment.Meta) ([]vector.Bitmap, error) {
	out := make([]vector.Bitmap, len(meta.Chunks))
	if ref.Deletes == nil {
		return out, nil
	}
	set, err := s.loadDeletes(ref.Deletes)
	if err != nil {
		return nil, err
	}
	if int64(set.GetCardinality()) != ref.Count {
		return nil, corruptManifest("segment %d has %d deleted rows, not %d", ref.ID, set.GetCardinality(), ref.Count)
	}
	start := uint32(0)
	it := set.Iterator()
	for i := range meta.Chunks {
		end := start + uint32(meta.Chunks[i].Rows)
		for it.HasNext() && it.PeekNext() < end {
			if out[i] == nil {
				out[i] = vector.NewBitmap(64 << 10)
			}
			out[i].Set(int(it.Next() - start))
		}
		start = end
	}
	if it.HasNext() {
		return nil, corruptManifest("segment %d has deleted rows past its end", ref.ID)
	}
	return out, nil
}

func (s *Store) loadDeletes(r *manifest.Range) (*roaring.Bitmap, error) {
	f, err := s.opts.FS.Open(filepath.Join(s.segmentDir(), r.File))
	if err != nil {
		return nil, vfs.Typed("open deleted rows "+r.File, err)
	}
	defer f.Close()
	header, err := readExactly(f, r.File, 0, int64(len(deletesHeader)))
	if err != nil {
		return nil, err
	}
	if string(header) != deletesHeader {
		return nil, corruptManifest("file %s does not begin with the header of deleted rows, version 1", r.File)
	}
	data, err := readExactly(f, r.File, r.Off, r.Len)
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(data, castagnoli) != r.CRC {
		return nil, corruptManifest("checksum of deleted rows in %s", r.File)
	}
	set := roaring.New()
	if err := set.UnmarshalBinary(data); err != nil {
		return nil, corruptManifest("deleted rows in %s: %v", r.File, err)
	}
	return set, nil
}

// readExactly reads n bytes of a file of deleted rows.
func readExactly(f io.ReaderAt, name string, off, n int64) ([]byte, error) {
	data := make([]byte, n)
	if got, err := f.ReadAt(data, off); got < len(data) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, corruptManifest("file %s is too short", name)
		}
		return nil, vfs.Typed("read deleted rows "+name, err)
	}
	return data, nil
}

func corruptManifest(format string, args ...any) error {
	return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: "read data folder", Err: fmt.Errorf(format, args...),
		Hint: "restore the data folder from a backup, or resync from the source"}
}
