package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/schemas"
)

// refused runs the program, which must end by itself within 20 s with an exit code
// and say all of some texts, and nothing that looks like a crash or is secret.
func refused(t *testing.T, env []string, code int, says []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), mainEnv+"=1")
	c.Env = append(c.Env, env...)
	out, _ := c.CombinedOutput()
	text := string(out)
	if ctx.Err() != nil {
		t.Fatalf("%v did not end by itself:\n%s", args, text)
	}
	if got := c.ProcessState.ExitCode(); got != code {
		t.Errorf("%v ended with %d, not %d:\n%s", args, got, code, text)
	}
	for _, want := range says {
		if !strings.Contains(text, want) {
			t.Errorf("%v: %q is not in:\n%s", args, want, text)
		}
	}
	for _, never := range []string{"goroutine ", "panic:", ".go:", "me:secret"} {
		if strings.Contains(text, never) {
			t.Errorf("%v: %q is in:\n%s", args, never, text)
		}
	}
}

const pgbenchFile = "../../pipelines/pgbench.yaml"

// busy is an address that somebody listens on, closed one that nobody does.
func busy(t *testing.T) (used, closed string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	return l.Addr().String(), gone.Addr().String()
}

// TestUsage: what is wrong about the command line or a file ends with 2, and says
// how it is right.
func TestUsage(t *testing.T) {
	refused(t, nil, 2, []string{"unknown flag: --prot", "etl run --help"}, "run", pgbenchFile, "--prot", "1")
	refused(t, nil, 2, []string{"unknown command"}, "rnu")
	refused(t, nil, 2, []string{"use: etl run PIPELINE"}, "run")
	refused(t, []string{"MILLRACE_PG_DSN=x"}, 2, []string{"--workers"}, "run", pgbenchFile, "--workers", "0")
	for _, name := range []string{"", "two words", "a: b", "1st", strings.Repeat("n", 64)} {
		refused(t, nil, 2, []string{"cannot be the name of a pipeline", "hint:"},
			"init", "--source", "postgres://127.0.0.1:1/app", "--name", name)
	}
	if _, set := os.LookupEnv("MILLRACE_PG_DSN"); !set {
		refused(t, nil, 2, []string{"pgbench.yaml:9:8: ", "MILLRACE_PG_DSN"}, "run", pgbenchFile)
	}
}

// TestUnreachable: a server that does not answer ends every command with 3.
func TestUnreachable(t *testing.T) {
	_, closed := busy(t)
	dsn := "postgres://me:secret@" + closed + "/app"
	says := []string{"PostgreSQL at " + closed + " cannot be reached", "hint:"}
	env := []string{"MILLRACE_PG_DSN=" + dsn}
	refused(t, env, 3, says, "run", pgbenchFile, "--data", t.TempDir(), "--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0")
	refused(t, env, 3, says, "init", "--source", dsn)
	refused(t, nil, 3, []string{"error: no warehouse answers at http://" + closed, "hint:"}, "status", "--url", "http://"+closed)
}

// TestEnvironment: what PostgreSQL or the machine refuses ends with 3 or, where the
// pipeline cannot be right, 2, and with the way out.
func TestEnvironment(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{WALLevel: "replica", Password: "right"})
	server.Pgbench(t, "-i", "-q", "-s", "1")
	used, _ := busy(t)
	run := func(code int, says []string, dsn, http, kafka string) {
		t.Helper()
		refused(t, []string{"MILLRACE_PG_DSN=" + dsn}, code, says, "run", pgbenchFile, "--data", t.TempDir(), "--http", http, "--kafka", kafka)
	}
	const free = "127.0.0.1:0"
	run(3, []string{"error: the address " + used + " is in use", "hint:", "--http"}, server.DSN(), used, free)
	run(3, []string{"in use", "hint:", "--kafka"}, server.DSN(), free, used)
	run(3, []string{"refuses role \"postgres\"", "hint:", "password"}, server.DSNFor("postgres", "wrong", "postgres"), free, free)
	run(3, []string{"wal_level is \"replica\"", "hint:  run ALTER SYSTEM SET wal_level = 'logical'"}, server.DSN(), free, free)
}

// TestSourceGone: a server that goes away is waited for, and the log says so; when
// it is back the run goes on.
func TestSourceGone(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	server.Pgbench(t, "-i", "-q", "-s", "1")
	p := startRun(t, t.TempDir(), server.DSN())
	p.awaitTables(t)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // away for a while
	if err := server.StartAgain(); err != nil {
		t.Fatal(err)
	}
	db := server.Connect(t, "postgres")
	db.Exec("UPDATE pgbench_branches SET bbalance = 77")
	lsn, err := schemas.ParseLSN(db.One("SELECT pg_current_wal_lsn()"))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, p.url, lsn, "pgbench_branches", "bid, bbalance", [][]string{{"1", "77"}})
	p.interrupt(t)
	for _, want := range []string{"level=WARN", "capture starts a new run", "cannot be reached"} {
		if says := p.log.String(); !strings.Contains(says, want) {
			t.Errorf("%q is not in the log:\n%s", want, says)
		}
	}
}
