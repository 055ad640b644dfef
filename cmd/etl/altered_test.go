package main

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/pgtest"
)

// TestAltered: a table that was altered while nothing captured it ends the next run
// with an error that names it; the rows that are loaded have the old shape.
func TestAltered(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	server.Pgbench(t, "-i", "-q", "-s", "1")
	dir := t.TempDir()
	p := startRun(t, dir, server.DSN())
	p.awaitTables(t)
	p.interrupt(t)

	db := server.Connect(t, "postgres")
	db.Exec("ALTER TABLE pgbench_branches ADD COLUMN opened date DEFAULT current_date")
	p = startRun(t, dir, server.DSN())
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.kill()
		t.Fatalf("etl run goes on with an altered table\n%s", p.log.String())
	}
	says := p.log.String()
	if code := p.cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("etl run ended with %d: %s", code, says)
	}
	for _, want := range []string{"error:", "table public.pgbench_branches was changed", "column opened is new", "hint:", "resync"} {
		if !strings.Contains(says, want) {
			t.Errorf("%q is not in what etl run says:\n%s", want, says)
		}
	}
}
