package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/schemas"
)

// mainEnv makes the test binary be the program itself.
const mainEnv = "MILLRACE_TEST_IS_ETL"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// etl prepares the program with arguments, as a process of its own.
func etl(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), mainEnv+"=1")
	return c
}

// tables are pgbench's, with a query whose rows tell everything in them.
var tables = []struct{ name, columns string }{
	{"pgbench_accounts", "aid, bid, abalance, filler"},
	{"pgbench_branches", "bid, bbalance, filler"},
	{"pgbench_tellers", "tid, bid, tbalance, filler"},
	{"pgbench_history", "tid, bid, aid, delta, mtime, filler"},
}

// TestPgbench follows a PostgreSQL under pgbench with `etl run`, killed three times
// on the way, and compares all four tables in the end (I2).
func TestPgbench(t *testing.T) {
	scale, seconds := 10, 60
	if testing.Short() {
		scale, seconds = 1, 6
	}
	server := pgtest.Start(t, pgtest.Options{})
	server.Pgbench(t, "-i", "-q", "-s", strconv.Itoa(scale))
	dir := t.TempDir()
	dsn := server.DSN()

	bench := server.PgbenchCommand("-c", "4", "-j", "2", "-T", strconv.Itoa(seconds), "-n")
	p := startRun(t, dir, dsn)
	p.awaitTables(t)
	if err := bench.Start(); err != nil {
		t.Fatal(err)
	}
	finished := make(chan error, 1)
	go func() { finished <- bench.Wait() }()
	for range 3 {
		time.Sleep(time.Duration(seconds)*time.Second/5 + time.Duration(rand.IntN(500))*time.Millisecond)
		p.kill()
		p = startRun(t, dir, dsn)
	}
	if err := <-finished; err != nil {
		t.Fatalf("pgbench: %v", err)
	}
	db := server.Connect(t, "postgres")
	lsn, err := schemas.ParseLSN(db.One("SELECT pg_current_wal_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		want := db.Query("SELECT %s FROM %s", table.columns, table.name)
		compare(t, p.url, lsn, table.name, table.columns, want.Rows)
	}
	p.interrupt(t)
}

// compare checks that the warehouse's table holds the same rows, as a multiset.
func compare(t *testing.T, url string, lsn schemas.LSN, name, columns string, want [][]string) {
	t.Helper()
	wait := int64(60_000)
	c := client.Client{URL: url}
	r, err := c.Query(t.Context(), client.Request{SQL: fmt.Sprintf("SELECT %s FROM %s", columns, name), MinLSN: &lsn, WaitMS: &wait, TimeoutMS: 120_000})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	rows := map[string]int{}
	for _, row := range want {
		var b strings.Builder
		for _, cell := range row {
			b.WriteString(cell + "|")
		}
		rows[b.String()]++
	}
	for _, row := range r.Rows {
		var b strings.Builder
		for _, cell := range row {
			b.WriteString(plain(cell) + "|")
		}
		rows[b.String()]--
	}
	different := 0
	for row, n := range rows {
		if n != 0 {
			if different++; different < 5 {
				t.Errorf("%s: %+d of %s (more in the source: +)", name, n, row)
			}
		}
	}
	if different > 0 {
		t.Errorf("%s: %d rows differ of %d in the source, %d in the warehouse", name, different, len(want), len(r.Rows))
	}
	t.Logf("%s: %d rows equal at %s", name, len(r.Rows), r.Snapshot.LSN)
}

func plain(cell json.RawMessage) string {
	var s string
	switch {
	case string(cell) == "null":
		return pgtest.Null
	case json.Unmarshal(cell, &s) == nil:
		return s
	}
	return string(cell)
}

// runProcess is a running `etl run`.
type runProcess struct {
	cmd   *exec.Cmd
	url   string
	ended chan struct{}
	log   strings.Builder
}

func startRun(t *testing.T, dir, dsn string) *runProcess {
	t.Helper()
	return startPipeline(t, "../../pipelines/pgbench.yaml", dir, dsn)
}

func startPipeline(t *testing.T, file, dir, dsn string) *runProcess {
	t.Helper()
	p := &runProcess{ended: make(chan struct{})}
	p.cmd = etl("run", file, "--data", dir, "--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0")
	p.cmd.Env = append(p.cmd.Env, "MILLRACE_PG_DSN="+dsn)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(out)
	for p.url == "" && lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "answering on "); ok {
			p.url = after
		}
	}
	go func() {
		defer close(p.ended)
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait()
	}()
	if p.url == "" {
		<-p.ended
		t.Fatalf("etl run ended: %s", p.log.String())
	}
	return p
}

// awaitTables waits until the first snapshot is visible.
func (p *runProcess) awaitTables(t *testing.T) {
	t.Helper()
	p.awaitTable(t, "pgbench_history")
}

func (p *runProcess) awaitTable(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client.Client{URL: p.url}
	for {
		_, err := c.Query(ctx, client.Request{SQL: "SELECT count(*) FROM " + name})
		if err == nil {
			return
		}
		if code := schemas.CodeOf(err); code != schemas.CodeNotReady && code != schemas.CodeUnknownTable {
			t.Fatalf("%v\n%s", err, p.log.String())
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the tables did not load: %v", err)
		case <-p.ended:
			t.Fatalf("etl run ended: %s", p.log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *runProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// interrupt ends the program as Ctrl-C does; it must end well.
func (p *runProcess) interrupt(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("etl run did not end within 20 s of an interrupt\n%s", p.log.String())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("etl run ended with %d: %s", code, p.log.String())
	}
}
