package main

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mainEnv makes the test binary be the program itself.
const mainEnv = "MILLRACE_TEST_IS_WAREHOUSE"

func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// refused runs the program, which must end by itself within 20 s with an exit code
// and say all of some texts, and nothing that looks like a crash.
func refused(t *testing.T, code int, says []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), mainEnv+"=1")
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
	for _, never := range []string{"goroutine ", "panic:", ".go:"} {
		if strings.Contains(text, never) {
			t.Errorf("%v: %q is in:\n%s", args, never, text)
		}
	}
}

// serveEmpty starts `warehouse serve` on a new data folder and returns its address.
func serveEmpty(t *testing.T) string {
	t.Helper()
	c := exec.Command(os.Args[0], "serve", "--data", t.TempDir(), "--http", "127.0.0.1:0")
	c.Env = append(os.Environ(), mainEnv+"=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("warehouse serve: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), " on "); ok {
			return url
		}
	}
	t.Fatal("warehouse serve ended")
	return ""
}

// TestUsage: a wrong command line ends with 2.
func TestUsage(t *testing.T) {
	refused(t, 2, []string{"unknown flag: --prot", "warehouse serve --help"}, "serve", "--prot", "1")
	refused(t, 2, []string{"use: warehouse query"}, "query")
	refused(t, 2, []string{"table, json, ndjson, csv"}, "query", "--format", "xml", "SELECT 1")
	refused(t, 2, []string{"loopback", "hint:"}, "serve", "--data", t.TempDir(), "--http", "0.0.0.0:0")
}

// TestNoServer: a query that nobody answers and an address that is taken end with 3.
func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	refused(t, 3, []string{"error: the address " + addr + " is in use", "hint:", "--http"}, "serve", "--data", t.TempDir(), "--http", addr)
	_ = l.Close()
	for _, format := range []string{"table", "csv"} {
		refused(t, 3, []string{"error: no warehouse answers at http://" + addr, "hint:", "warehouse serve"},
			"query", "--url", "http://"+addr, "--format", format, "SELECT 1")
	}
}

// TestCaret: an error in a statement is shown in its line, below a caret.
func TestCaret(t *testing.T) {
	url := serveEmpty(t)
	refused(t, 0, []string{"(1 row)"}, "query", "--url", url, "SELECT 1")
	for _, format := range []string{"table", "csv"} {
		refused(t, 2, []string{"\nFROM nowhere\n     ^"}, "query", "--url", url, "--format", format, "SELECT 1\nFROM nowhere")
		refused(t, 2, []string{"\nSELECT 'é', 1 1\n              ^"}, "query", "--url", url, "--format", format, "SELECT 'é', 1 1")
	}
}
