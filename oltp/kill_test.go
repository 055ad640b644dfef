package oltp_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
)

const (
	childDir    = "MILLRACE_TEST_OLTP_DIR"
	killWorkers = 4
)

func killOptions(dir string) oltp.Options {
	return oltp.Options{Dir: dir, MemoryBytes: 2 << 20, LogSegmentBytes: 256 << 10, CheckpointBytes: 512 << 10}
}

// TestMain is also the process that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, killChild(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// killChild commits until it is killed: each worker counts in one row and adds a
// row for each count, in one transaction, and tells its parent what was acknowledged.
func killChild(dir string) error {
	db, err := oltp.Open(killOptions(dir))
	if err != nil {
		return err
	}
	if _, err := db.Table("accounts"); err != nil {
		if _, err := db.CreateTable(ctx, Accounts()); err != nil {
			return err
		}
	}
	failed := make(chan error, killWorkers)
	var out sync.Mutex
	for w := range int64(killWorkers) {
		go func() {
			for {
				n, err := count(db, w)
				if err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Printf("%d %d\n", w, n)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

func count(db *oltp.DB, w int64) (n int64, err error) {
	_, err = db.Update(ctx, func(tx *oltp.Tx) error {
		n = 1
		row, err := tx.Get("accounts", ID(w))
		if err == nil {
			n = row[1].Int() + 1
		} else if !errors.Is(err, oltp.ErrNotFound) {
			return err
		}
		return errors.Join(tx.Upsert("accounts", Account(w, n, "")), tx.Insert("accounts", Account(counted(w, n), n, "counted")))
	})
	return n, err
}

func counted(w, n int64) int64 { return (w+1)*1_000_000 + n }

// TestKill kills a process that commits, again and again on one folder. Its parent is
// the witness: what it heard of is there, and nothing half.
func TestKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	var acked [killWorkers]int64
	for round := range rounds {
		heard := killOnce(t, dir, &acked, time.Duration(20+r.IntN(120))*time.Millisecond)
		require.Positive(t, heard, "round %d: the child committed nothing", round)
		checkCounts(t, killOptions(dir), acked)
	}
	t.Logf("%d rounds, acknowledged %v", rounds, acked)
}

func killOnce(t *testing.T, dir string, acked *[killWorkers]int64, after time.Duration) (heard int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if heard++; heard == 1 {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		var w, n int64
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &n); err == nil {
			acked[w] = max(acked[w], n)
		}
	}
	if timer != nil {
		timer.Stop()
	}
	_ = cmd.Wait()
	return heard
}

// checkCounts opens a database that killWorkers counted in.
func checkCounts(t testing.TB, o oltp.Options, acked [killWorkers]int64) {
	t.Helper()
	db, err := oltp.Open(o)
	require.NoError(t, err)
	defer db.Close()
	if _, err := db.Table("accounts"); err != nil {
		require.Equal(t, [killWorkers]int64{}, acked, "the table is gone")
		return
	}
	require.NoError(t, db.View(ctx, func(tx *oltp.Tx) error {
		for w := range int64(killWorkers) {
			n := int64(0)
			row, err := tx.Get("accounts", ID(w))
			if !errors.Is(err, oltp.ErrNotFound) {
				require.NoError(t, err)
				n = row[1].Int()
			}
			require.GreaterOrEqual(t, n, acked[w], "an acknowledged commit of worker %d is lost", w)
			rows := int64(0)
			for _, err := range tx.Scan("accounts", oltp.Range{From: []schemas.Value{ID(counted(w, 0))}, To: []schemas.Value{ID(counted(w, 999_999))}}) {
				require.NoError(t, err)
				rows++
			}
			require.Equal(t, n, rows, "half a transaction of worker %d", w)
		}
		return nil
	}))
	require.NoError(t, db.Verify(ctx))
}
