package arrowipc

// The metadata of a record batch is a flatbuffer (Message and RecordBatch of
// Arrow's Message.fbs) that differs from batch to batch only in four numbers and
// two arrays, so it is laid out by hand, always in the same way, and a reader
// accepts only this way: nothing in it can then point out of bounds.
//
//	 0  continuation 0xFFFFFFFF, i32 size of the metadata
//	 8  u32 offset of Message
//	12  vtable of Message (12 bytes)
//	24  Message: vtable, header, bodyLength at 32, version, header type
//	44  vtable of RecordBatch (10 bytes)
//	56  RecordBatch: vtable, nodes, length at 64, buffers at 72
//	76  u32 nodes, then 16 bytes each: length, null count
//	    4 bytes of 0, u32 buffers, then 16 bytes each: offset, length
const (
	metaBodyLength = 32
	metaRows       = 64
	metaBuffers    = 72 // offset to the buffers, from this field
	metaNodes      = 76
	metaFixed      = 80 // bytes before the first node
)

// metaTemplate is the fixed part, with zero where a batch's numbers go.
var metaTemplate = [metaFixed]byte{
	0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0,
	16, 0, 0, 0, // Message stands 16 bytes after this field
	12, 0, 20, 0, 16, 0, 18, 0, 4, 0, 8, 0, // sizes, then version, header type, header, bodyLength
	12, 0, 0, 0, // Message: its vtable stands 12 bytes before
	28, 0, 0, 0, // header: RecordBatch stands 28 bytes after this field
	0, 0, 0, 0, 0, 0, 0, 0, // bodyLength
	4, 0, 3, 0, // version 5, header type RecordBatch
	10, 0, 20, 0, 8, 0, 4, 0, 16, 0, 0, 0, // sizes, then length, nodes, buffers; padding
	12, 0, 0, 0, // RecordBatch: its vtable
	16, 0, 0, 0, // nodes
	0, 0, 0, 0, 0, 0, 0, 0, // length
	0, 0, 0, 0, // buffers
	0, 0, 0, 0, // number of nodes
}

// metaSize is the bytes of the metadata of a batch, a multiple of 8.
func metaSize(nodes, buffers int) int { return metaFixed + 16*nodes + 8 + 16*buffers }

// putMeta writes the fixed part and the counts into m, metaSize bytes of zero.
func putMeta(m []byte, rows, nodes, buffers, body int) {
	copy(m, metaTemplate[:])
	le.PutUint32(m[4:], uint32(len(m)-8))
	le.PutUint64(m[metaBodyLength:], uint64(body))
	le.PutUint64(m[metaRows:], uint64(rows))
	le.PutUint32(m[metaBuffers:], uint32(metaFixed+16*nodes+4-metaBuffers))
	le.PutUint32(m[metaNodes:], uint32(nodes))
	le.PutUint32(m[metaFixed+16*nodes+4:], uint32(buffers))
}

// checkMeta says whether m is exactly what putMeta writes.
func checkMeta(m []byte, rows, nodes, buffers, body int) bool {
	var want [metaFixed]byte
	copy(want[:], metaTemplate[:])
	le.PutUint32(want[4:], uint32(len(m)-8))
	le.PutUint64(want[metaBodyLength:], uint64(body))
	le.PutUint64(want[metaRows:], uint64(rows))
	le.PutUint32(want[metaBuffers:], uint32(metaFixed+16*nodes+4-metaBuffers))
	le.PutUint32(want[metaNodes:], uint32(nodes))
	return [metaFixed]byte(m[:metaFixed]) == want && le.Uint32(m[metaFixed+16*nodes:]) == 0 &&
		le.Uint32(m[metaFixed+16*nodes+4:]) == uint32(buffers)
}
