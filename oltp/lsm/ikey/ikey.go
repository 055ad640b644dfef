// Package ikey orders the versions that an LSM tree stores: by user key
// ascending, and of one key the newest first.
package ikey

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
)

// MaxLSN sorts before every version of a key, 0 after all of them.
const MaxLSN = math.MaxUint64

// TrailerLen is how many bytes Append adds to a user key.
const TrailerLen = 8

// Compare orders two versions.
func Compare(a []byte, alsn uint64, b []byte, blsn uint64) int {
	if c := bytes.Compare(a, b); c != 0 {
		return c
	}
	return cmp.Compare(blsn, alsn)
}

// Append encodes a version: the user key, then the LSN's complement big-endian,
// so that versions of one key share all but the trailer.
func Append(dst, key []byte, lsn uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, key...), ^lsn)
}

// Split decodes what Append made. The caller has checked the length.
func Split(b []byte) (key []byte, lsn uint64) {
	n := len(b) - TrailerLen
	return b[:n], ^binary.BigEndian.Uint64(b[n:])
}
