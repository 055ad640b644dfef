// Package pgtest starts throw-away PostgreSQL servers for tests: as an ordinary
// user, in a scratch folder, on a free port, stopped when the test ends.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// RequireEnv names the environment variable that turns "needs PostgreSQL" skips
// into failures when it is "1".
const RequireEnv = "MILLRACE_REQUIRE_ALL"

// startTimeout bounds how long a server may take to accept connections.
const startTimeout = 60 * time.Second

// Options of a server.
type Options struct {
	// WALLevel is minimal, replica or logical (default).
	WALLevel string
	// Fsync keeps fsync on, for tests that kill the server. Off is faster.
	Fsync bool
	// Password is the superuser's. When set, connections need it (scram);
	// otherwise they are trusted.
	Password string
	// Settings are added to postgresql.conf.
	Settings map[string]string
}

// Server is a running PostgreSQL. Its superuser and database are called postgres.
type Server struct {
	Dir  string // data folder
	Port int
	opts Options
	bin  string
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	log  *os.File
}

// Start runs a new server for a test, and skips the test where PostgreSQL is not
// installed.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	bin := need(t)
	s, err := launch(bin, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return s
}

// need gives the folder of PostgreSQL's programs, or skips or fails the test.
func need(t testing.TB) string {
	t.Helper()
	bin, err := findBin()
	if err == nil {
		return bin
	}
	if os.Getenv(RequireEnv) == "1" {
		t.Fatalf("needs PostgreSQL: %v", err)
	}
	t.Skipf("needs PostgreSQL: %v", err)
	return ""
}

// Require says whether a missing PostgreSQL is a failure.
func Require() bool { return os.Getenv(RequireEnv) == "1" }

// findBin looks for postgres and initdb beside each other: in PATH, then where
// Debian and Red Hat put them, the newest version first.
func findBin() (string, error) {
	var dirs []string
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"} {
		found, _ := filepath.Glob(pattern)
		sort.Sort(sort.Reverse(sort.StringSlice(found)))
		dirs = append(dirs, found...)
	}
	for _, d := range dirs {
		if isProgram(filepath.Join(d, "postgres")) && isProgram(filepath.Join(d, "initdb")) {
			return d, nil
		}
	}
	return "", errors.New("postgres and initdb are neither in PATH nor in /usr/lib/postgresql/*/bin")
}

func isProgram(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// launch makes a data folder and starts a server on it.
func launch(bin string, o Options) (*Server, error) {
	if o.WALLevel == "" {
		o.WALLevel = "logical"
	}
	dir, err := os.MkdirTemp("", "millrace-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: filepath.Join(dir, "data"), bin: bin, opts: o}
	if err = s.setUp(dir); err == nil {
		err = s.StartAgain()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// setUp runs initdb and writes the configuration.
func (s *Server) setUp(dir string) error {
	if err := own(dir); err != nil {
		return err
	}
	args := []string{"-D", s.Dir, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "-A", "trust"}
	if s.opts.Password != "" {
		file := filepath.Join(dir, "password")
		if err := os.WriteFile(file, []byte(s.opts.Password), 0o600); err != nil {
			return err
		}
		if err := own(file); err != nil {
			return err
		}
		args = append(args[:len(args)-1], "scram-sha-256", "--pwfile", file)
	}
	if out, err := s.command("initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return s.configure()
}

func (s *Server) configure() error {
	fsync := "off"
	if s.opts.Fsync {
		fsync = "on"
	}
	var conf bytes.Buffer
	fmt.Fprintf(&conf, "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = %s\nwal_level = %s\n", fsync, s.opts.WALLevel)
	fmt.Fprintf(&conf, "full_page_writes = %s\nmax_connections = 60\nmax_replication_slots = 20\n", fsync)
	fmt.Fprintf(&conf, "shared_buffers = 64MB\ntimezone = 'UTC'\ndatestyle = 'iso, mdy'\nlc_messages = 'C'\nautovacuum = off\n")
	if s.opts.WALLevel != "minimal" {
		conf.WriteString("max_wal_senders = 20\n")
	} else {
		conf.WriteString("max_wal_senders = 0\n")
	}
	for k, v := range s.opts.Settings {
		fmt.Fprintf(&conf, "%s = '%s'\n", k, v)
	}
	f, err := os.OpenFile(filepath.Join(s.Dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(conf.Bytes())
	return errors.Join(err, f.Close())
}

// command makes a command that runs as an ordinary user.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = filepath.Dir(s.Dir)
	c.SysProcAttr = ordinaryUser()
	c.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	return c
}

// StartAgain starts a stopped server, on the port it had.
func (s *Server) StartAgain() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return errors.New("PostgreSQL runs already")
	}
	tries := 1
	if s.Port == 0 {
		tries = 5
	}
	var err error
	for range tries {
		if tries > 1 {
			if s.Port, err = freePort(); err != nil {
				return err
			}
		}
		if err = s.run(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) run() error {
	var err error
	logPath := filepath.Join(filepath.Dir(s.Dir), "log")
	if s.log, err = os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	s.cmd = s.command("postgres", "-D", s.Dir, "-p", fmt.Sprint(s.Port))
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	dieWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		s.log.Close()
		s.cmd = nil
		return fmt.Errorf("start postgres: %w", err)
	}
	s.done = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) {
		c.Wait()
		close(done)
	}(s.cmd, s.done)
	if err := s.await(); err != nil {
		s.stop(os.Kill)
		text, _ := os.ReadFile(logPath)
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}

// await waits until the server accepts connections.
func (s *Server) await() error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := pgconn.Connect(ctx, s.DSN())
		cancel()
		if err == nil {
			return conn.Close(context.Background())
		}
		select {
		case <-s.done:
			return errors.New("postgres ended while starting")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("postgres does not accept connections")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// DSN connects as the superuser to the database postgres.
func (s *Server) DSN() string { return s.DSNFor("postgres", s.opts.Password, "postgres") }

// DSNFor connects as somebody else.
func (s *Server) DSNFor(user, password, database string) string {
	if password != "" {
		user += ":" + password
	}
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", user, s.Port, database)
}

// Stop shuts the server down cleanly (fast mode). Its data stays; StartAgain goes on.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(os.Interrupt)
}

// Kill ends the server as a crash would. Its data stays.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(quitSignal)
}

// stop sends a signal and waits. A server that does not end is killed.
func (s *Server) stop(sig os.Signal) error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(sig)
	select {
	case <-s.done:
		err = nil
	case <-time.After(20 * time.Second):
		err = errors.Join(err, errors.New("postgres did not stop and was killed"), s.cmd.Process.Kill())
		<-s.done
	}
	s.log.Close()
	s.cmd = nil
	return err
}

// Remove stops the server at once and deletes its data.
func (s *Server) Remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.stop(quitSignal), os.RemoveAll(filepath.Dir(s.Dir)))
}

// Log returns the server's log so far.
func (s *Server) Log() string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(s.Dir), "log"))
	return string(b)
}

// Pgbench runs pgbench with arguments such as "-i", "-s", "10", and returns its output.
func (s *Server) Pgbench(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.PgbenchCommand(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// PgbenchCommand makes the command that Pgbench runs, for running it beside the test.
func (s *Server) PgbenchCommand(args ...string) *exec.Cmd {
	c := s.command("pgbench", append(args, "-h", "127.0.0.1", "-p", fmt.Sprint(s.Port), "-U", "postgres", "postgres")...)
	c.Env = append(c.Env, "PGPASSWORD="+s.opts.Password)
	return c
}
