package lsm

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
)

// withVersion changes the version and makes the checksum right again.
func withVersion(b []byte, v uint32) []byte {
	binary.LittleEndian.PutUint32(b[8:], v)
	body := b[:len(b)-4]
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func TestManifestRoundTrip(t *testing.T) {
	m := manifest{nextFile: 9, durable: 1 << 50, horizon: 3, tables: []placed{
		{tableInfo{id: 1, size: 100, entries: 5, tombstones: 1, minLSN: 2, maxLSN: 3, minKey: []byte{}, maxKey: []byte("z")}, 0},
		{tableInfo{id: 8, size: 1 << 40, minKey: []byte{0}, maxKey: []byte{0xff, 0xff}}, 6},
	}}
	got, err := decodeManifest(m.encode())
	require.NoError(t, err)
	require.Equal(t, m, got)
	b := m.encode()
	for i := range b {
		damaged := append([]byte(nil), b...)
		damaged[i] ^= 1 << (i % 8)
		_, err := decodeManifest(damaged)
		require.Error(t, err, "byte %d", i)
		_, err = decodeManifest(b[:i])
		require.Error(t, err, "cut at %d", i)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(manifest{nextFile: 9, tables: []placed{{tableInfo{id: 1, minKey: []byte("a"), maxKey: []byte("b")}, 2}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= manifestHeader+4 {
			copy(b, manifestMagic)
			b = withVersion(b, manifestVersion)
		}
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		again, err := decodeManifest(m.encode())
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}
