package pgtest

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// Shared is one server for all tests of a test binary. Declare it as a package
// variable in a _test file and stop it from TestMain:
//
//	var pg pgtest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(pg.Run(m)) }
type Shared struct {
	Options Options
	once    sync.Once
	server  *Server
	err     error
	names   atomic.Int64
}

// Run runs the tests and then stops the server, if one was started.
func (s *Shared) Run(m *testing.M) int {
	code := m.Run()
	if s.server != nil {
		if err := s.server.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			return max(code, 1)
		}
	}
	return code
}

// Server starts the server at the first call, and skips the test where PostgreSQL
// is not installed.
func (s *Shared) Server(t testing.TB) *Server {
	t.Helper()
	bin := need(t)
	s.once.Do(func() { s.server, s.err = launch(bin, s.Options) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

// Database makes an empty database on the shared server and connects to it.
func (s *Shared) Database(t testing.TB) *DB {
	t.Helper()
	srv := s.Server(t)
	name := fmt.Sprintf("test_%d", s.names.Add(1))
	admin := srv.Connect(t, "postgres")
	admin.Exec("CREATE DATABASE %s", name)
	admin.Close()
	return srv.Connect(t, name)
}
