package ikey

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrder(t *testing.T) {
	type version struct {
		key string
		lsn uint64
	}
	ordered := []version{{"", MaxLSN}, {"", 5}, {"", 0}, {"\x00", 9}, {"a", 3}, {"a", 2}, {"a\x00", 100}, {"ab", 1}, {"b", MaxLSN}, {"\xff", 0}}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, Compare([]byte(a.key), a.lsn, []byte(b.key), b.lsn), "%v %v", a, b)
		}
		key, lsn := Split(Append([]byte(nil), []byte(a.key), a.lsn))
		require.Equal(t, a, version{string(key), lsn})
	}
}
