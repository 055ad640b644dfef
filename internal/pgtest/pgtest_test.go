package pgtest

import (
	"os"
	"testing"
	"time"
)

var pg Shared

func TestMain(m *testing.M) { os.Exit(pg.Run(m)) }

// TestServer starts, crashes, restarts and stops a server; what was committed is
// there after the crash.
func TestServer(t *testing.T) {
	start := time.Now()
	s := Start(t, Options{Fsync: true, Password: "secret"})
	t.Logf("started in %v", time.Since(start))
	db := s.Connect(t, "postgres")
	if got := db.One("SHOW wal_level"); got != "logical" {
		t.Fatalf("wal_level is %s", got)
	}
	db.Exec("CREATE TABLE t (a int); INSERT INTO t VALUES (%d)", 7)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := db.TryExec("SELECT 1"); err == nil {
		t.Fatal("the server answers after Kill")
	}
	if err := s.StartAgain(); err != nil {
		t.Fatal(err)
	}
	if got := s.Connect(t, "postgres").One("SELECT a FROM t"); got != "7" {
		t.Fatalf("after the restart a is %s", got)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestShared gives each test its own database on one server.
func TestShared(t *testing.T) {
	a, b := pg.Database(t), pg.Database(t)
	a.Exec("CREATE TABLE only_here (x int)")
	if b.TryExec("SELECT * FROM only_here") == nil {
		t.Fatal("the databases are not separate")
	}
	r, err := a.Params("SELECT $1::int + 1, $2::text", []byte("41"), nil)
	if err != nil || r.Rows[0][0] != "42" || r.Rows[0][1] != Null {
		t.Fatalf("%v, %v", r, err)
	}
	pg.Server(t).Pgbench(t, "-i", "-q", "-s", "1")
}
