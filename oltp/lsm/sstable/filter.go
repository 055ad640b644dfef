package sstable

import "github.com/cespare/xxhash/v2"

// The filter is a Bloom filter in lines of 64 bytes: one cache miss a probe
// (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters).
// About 10 bits a key and 6 probes let 1 to 1.5 percent of absent keys pass.
const (
	filterLine    = 64
	filterBits    = 10
	filterProbes  = 6
	filterLineBit = filterLine*8 - 1
)

func hashKey(key []byte) uint64 { return xxhash.Sum64(key) }

func buildFilter(hashes []uint64) []byte {
	lines := max(1, (len(hashes)*filterBits+filterLine*8-1)/(filterLine*8))
	f := make([]byte, lines*filterLine)
	for _, h := range hashes {
		line := filterLineOf(f, h)
		for range filterProbes {
			bit := h & filterLineBit
			line[bit/8] |= 1 << (bit % 8)
			h >>= 9
		}
	}
	return f
}

// filterLineOf picks a line by the upper half of the hash's product, leaving the
// low 54 bits, which pick the bits within, nearly independent of it.
func filterLineOf(f []byte, h uint64) []byte {
	lines := uint64(len(f) / filterLine)
	i := (h >> 32 * lines) >> 32
	return f[i*filterLine:][:filterLine]
}

// mayContain says no only if the key with that hash was not added.
func mayContain(f []byte, h uint64) bool {
	if len(f) < filterLine {
		return true
	}
	line := filterLineOf(f, h)
	for range filterProbes {
		bit := h & filterLineBit
		if line[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
		h >>= 9
	}
	return true
}
