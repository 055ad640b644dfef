package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/cmd/internal/node"
	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/columnstore/serve"
)

// childEnv tells the test binary to be the process that is killed: its value is the
// data folder.
const childEnv = "MILLRACE_DEMO_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// child runs the demo on a folder and tells every order's fate on its standard
// output, until it is killed; with an interrupt it ends with the report.
func child(dir string) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { // the parent closes the child's input when it wants the report
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		stop()
	}()
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...) // unbuffered: out before the next step
	}
	r, err := Run(ctx, Options{
		Rate: 4000, QueryRate: 10, HTTP: "127.0.0.1:0", Kafka: "127.0.0.1:0", Dir: dir, Seed: rand.Uint64(),
		Progress: addressFinder{say},
		witness: func(e event) {
			say("%s %t %d %d %t", e.what, e.done, e.order.id, len(e.order.lines), e.order.payment != 0)
		},
	})
	switch {
	case err != nil:
		say("error %v", err)
		os.Exit(1)
	case r != nil:
		say("report %d %d %d %s", r.Verified.Mismatches, r.Verified.InvariantViolations, r.Verified.Tables, r.Verified.First)
	}
	os.Exit(0)
}

// addressFinder picks the warehouse's address out of the live view.
type addressFinder struct{ say func(string, ...any) }

func (a addressFinder) Write(b []byte) (int, error) {
	if _, rest, ok := strings.Cut(string(b), "answers at "); ok {
		a.say("url %s", strings.Fields(rest)[0])
	}
	return len(b), nil
}

// fate is what the witness knows of an order: the last acknowledged step, and
// whether a later one may or may not have happened.
type fate struct {
	lines  int
	step   string
	asking string
}

// TestKill kills the process that does everything, again and again at random
// moments, and resumes it on its folder. This process is the witness: it wrote down
// what was acknowledged. In the end the warehouse has all of it, once (I1, I2).
func TestKill(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 4
	}
	killRounds(t, rounds, func(int, string) {})
}

// killRounds calls between after each kill, before the process is started again.
func killRounds(t *testing.T, rounds int, between func(round int, dir string)) {
	t.Helper()
	dir, seed := t.TempDir(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	w := &witness{fates: map[int64]*fate{}}
	for round := range rounds {
		// Mostly after the first start, sometimes in the middle of a recovery.
		pause := time.Duration(rng.IntN(2500)) * time.Millisecond
		p := startChild(t, dir, w)
		if round == 0 { // there must be something to lose
			p.awaitURL(t)
			pause += 500 * time.Millisecond
		}
		select {
		case <-p.ended:
			t.Fatalf("round %d: the process ended by itself: %s", round, p.failure)
		case <-time.After(pause):
		}
		p.kill()
		between(round, dir)
	}
	p := startChild(t, dir, w)
	p.awaitURL(t)
	time.Sleep(500 * time.Millisecond)
	p.stop(t)
	if want := "0 0 6 "; p.report != want {
		t.Errorf("the last run reports %q, want %q (mismatches, violations, tables, first)", p.report, want)
	}
	for _, lost := range w.lost {
		t.Error(lost)
	}
	w.check(t, dir)
}

// check opens the warehouse alone and asks it for every order that was witnessed.
func (w *witness) check(t *testing.T, dir string) {
	t.Helper()
	store, err := columnstore.Open(columnstore.Options{Dir: node.WarehouseDir(dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	server := httptest.NewServer(serve.New(store, serve.Options{}))
	defer server.Close()
	lines := counts(t, server.URL, "SELECT order_id, count(*) FROM order_lines GROUP BY order_id")
	payments := counts(t, server.URL, "SELECT order_id, count(*) FROM payments GROUP BY order_id")
	wrong := 0
	for id, f := range w.fates {
		if !f.agrees(lines[id], payments[id]) {
			if wrong++; wrong < 10 {
				t.Errorf("order %d: the witness knows %+v, the warehouse has %d lines and %d payments", id, *f, lines[id], payments[id])
			}
		}
	}
	if len(w.fates) == 0 {
		t.Error("the witness saw no orders")
	}
	t.Logf("%d orders witnessed, %d wrong", len(w.fates), wrong)
}

func counts(t *testing.T, url, sql string) map[int64]int64 {
	t.Helper()
	c := client.Client{URL: url}
	r, err := c.Query(t.Context(), client.Request{SQL: sql})
	if err != nil {
		t.Fatal(err)
	}
	out := map[int64]int64{}
	for _, row := range r.Rows {
		id, err1 := strconv.ParseInt(strings.Trim(string(row[0]), `"`), 10, 64)
		n, err2 := strconv.ParseInt(strings.Trim(string(row[1]), `"`), 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatalf("row %s", row)
		}
		out[id] = n
	}
	return out
}

// agrees says whether the rows fit the acknowledged steps, or those and the one
// whose outcome is unknown.
func (f *fate) agrees(lines, payments int64) bool {
	possible := func(step string) bool {
		switch step {
		case "":
			return lines == 0 && payments == 0
		case "place":
			return lines == int64(f.lines) && payments == 0
		case "purge":
			return lines == 0 && payments == 0
		}
		return lines == int64(f.lines) && payments == 1
	}
	return possible(f.step) || f.asking != "" && possible(f.asking)
}

// process is a running child.
type process struct {
	cmd     *exec.Cmd
	ended   chan struct{}
	url     chan string
	failure string
	report  string
	end     func()
}

func startChild(t *testing.T, dir string, w *witness) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), ended: make(chan struct{}), url: make(chan string, 1)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+dir)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.end = func() { in.Close() }
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.hear(lines.Text(), w)
		}
		p.cmd.Wait()
	}()
	return p
}

func (p *process) hear(line string, w *witness) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "url":
		p.url <- rest
		return
	case "error":
		p.failure = rest
		return
	case "report":
		p.report = rest
		return
	}
	var done, paid bool
	var id int64
	var lines int
	if n, err := fmt.Sscanf(rest, "%t %d %d %t", &done, &id, &lines, &paid); n != 4 || err != nil {
		return // the line that the kill cut short
	}
	w.hear(word, done, id, lines, paid)
}

// witness knows the fate of every order, by id.
type witness struct {
	fates map[int64]*fate
	lost  []string // what a restarted process no longer knew, or made up
}

// hear takes an intent, with whether the order is paid as the process sees it, or
// the acknowledgement of one.
func (w *witness) hear(step string, done bool, id int64, lines int, paid bool) {
	f := w.fates[id]
	switch {
	case f == nil && step == "place":
		f = &fate{lines: lines}
	case f == nil: // one of the first rows
		f = &fate{lines: lines, step: "place"}
		if paid {
			f.step = "pay"
		}
	case !done && f.paid() != paid && f.asking == "":
		w.lost = append(w.lost, fmt.Sprintf("order %d was at %q; to the restarted process it is paid: %t", id, f.step, paid))
	case !done && f.asking != "" && f.paid() != paid: // the open question is answered
		f.step = f.asking
	}
	w.fates[id] = f
	if step == "place" {
		f.lines = lines
	}
	f.asking = step
	if done {
		f.step, f.asking = step, ""
	}
}

func (f *fate) paid() bool { return f.step == "pay" || f.step == "ship" }

// kill ends the process as a power switch would, and reads what it still said.
func (p *process) kill() {
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) awaitURL(t *testing.T) string {
	t.Helper()
	select {
	case url := <-p.url:
		return url
	case <-p.ended:
		t.Fatalf("the process ended: %s", p.failure)
	case <-time.After(time.Minute):
		t.Fatal("the process did not come up within a minute")
	}
	return ""
}

// stop lets the process end with its report.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.end()
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("the process did not end within two minutes")
	}
	if p.failure != "" {
		t.Fatalf("the process failed: %s", p.failure)
	}
}

// TestBrokerLost kills the process and wipes or cuts short the broker's data before
// it is started again: a new epoch begins and the source replays (I2).
func TestBrokerLost(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 2
	}
	killRounds(t, rounds, func(round int, dir string) {
		if round%2 == 0 {
			if err := os.RemoveAll(filepath.Join(dir, "broker")); err != nil {
				t.Fatal(err)
			}
			return
		}
		cutFiles(t, filepath.Join(dir, "broker"))
	})
}

// cutFiles takes the second half of every file but the lock.
func cutFiles(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // killed before it was made
			return nil
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".dat" && filepath.Ext(path) != ".log" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2)
	})
	if err != nil {
		t.Fatal(err)
	}
}
