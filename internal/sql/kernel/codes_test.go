package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/vector"
)

// TestRangeBytes compares eight comparisons in a word with one at a time, for all
// intervals and lengths around the borders of words.
func TestRangeBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for from := range 256 {
		for _, width := range []int{0, 1, 7, 126, 127, 128, 129, 200, 254, 255, r.IntN(256)} {
			n := 250 + r.IntN(20)
			codes := make([]uint8, n)
			for i := range codes {
				codes[i] = uint8(i*7 + from)
			}
			for _, negate := range []bool{false, true} {
				bits := vector.NewBitmap(n)
				bits.Fill(n)
				bits.Clear(5)
				rangeBytes(bits, codes, uint8(from), uint8(width), negate)
				for i, c := range codes {
					want := (c-uint8(from) <= uint8(width)) != negate && i != 5
					if bits.Get(i) != want {
						t.Fatalf("code %d from %d width %d negate %v: %v", c, from, width, negate, !want)
					}
				}
			}
		}
	}
}

func BenchmarkRangeBytes(b *testing.B) {
	codes := make([]uint8, 1<<16)
	for i := range codes {
		codes[i] = uint8(i * 37)
	}
	bits := vector.NewBitmap(1 << 16)
	b.SetBytes(1 << 16)
	for b.Loop() {
		bits.Fill(1 << 16)
		rangeBytes(bits, codes, 20, 100, false)
	}
}
