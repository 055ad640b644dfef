package stream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// With several brokers, requests go to each partition's leader, and follow when
// leaders change.
func TestLeadersMove(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	r := bareRig(t, 70)
	r.addr = strings.Split(cluster.ListenAddrs()[0], ",")[0]
	r.options.Replication = 3
	r.commits(50, 5)
	r.start()
	r.reaches(r.source.End())
	for range 5 {
		r.commits(30, 5)
		cluster.ShufflePartitionLeaders()
		time.Sleep(10 * time.Millisecond)
		r.reaches(r.commits(30, 5))
	}
	require.EqualValues(t, 1, r.house.Seen().Epoch, "%v", r.house.Seen().Lost)
}
