package columnstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReplacedBlocksAreForgotten: what merges replaced is not kept until the budget is
// full. The same rows, updated over and over, take the same memory.
func TestReplacedBlocksAreForgotten(t *testing.T) {
	ctx := context.Background()
	f := newFeed(t, Options{Dir: t.TempDir(), Manual: true})
	defer f.st.Close()
	round := func(n int, update bool) int64 {
		from := f.lsn
		f.fill(n, update)
		f.send(t)
		f.progress(t, from)
		f.wait(t)
		require.NoError(t, f.st.Flush(ctx))
		require.NoError(t, f.st.Compact(ctx))
		return f.st.Stats().CacheBytes
	}
	first := round(20_000, false)
	var last int64
	for range 30 {
		last = round(20_000, true)
	}
	require.Positive(t, first)
	require.Less(t, last, 4*first, "31 rounds over the same rows")
}
