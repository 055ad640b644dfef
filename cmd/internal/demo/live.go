package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/millrace/millrace/internal/latency"
)

// sample is what the live view shows, read anew at each tick.
type sample struct {
	transactions, changes, queries int64
	// captured, loaded and visible are how far the stages are behind the newest
	// commit, in bytes of the source's log.
	captured, loaded, visible int64
	fresh, query              latency.Summary
	checks, violations        int64
}

// live shows the samples once a second: in place on a terminal, a line every
// five seconds elsewhere.
func live(ctx context.Context, w io.Writer, read func() sample) {
	inPlace := isTerminal(w)
	every := 5 * time.Second
	if inPlace {
		every = time.Second
	}
	began, before := time.Now(), read()
	tick := time.NewTicker(every)
	defer tick.Stop()
	drawn := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := read()
		if inPlace {
			drawn = draw(w, drawn, block(time.Since(began), every, before, now))
		} else {
			fmt.Fprintln(w, oneLine(time.Since(began), every, before, now))
		}
		before = now
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// draw replaces the lines it drew before.
func draw(w io.Writer, drawn int, lines []string) int {
	var b strings.Builder
	if drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", drawn)
	}
	for _, l := range lines {
		b.WriteString("\x1b[2K" + l + "\n")
	}
	_, _ = io.WriteString(w, b.String())
	return len(lines)
}

func block(since, every time.Duration, before, now sample) []string {
	rate := func(a, b int64) float64 { return float64(b-a) / every.Seconds() }
	p := func(s latency.Summary) string {
		return fmt.Sprintf("p50 %7.2f  p95 %7.2f  p99 %7.2f  p999 %7.2f ms", s.P50, s.P95, s.P99, s.P999)
	}
	return []string{
		fmt.Sprintf("  %4.0f s   %8.0f changes/s in %.0f transactions/s   %.0f queries/s", since.Seconds(),
			rate(before.changes, now.changes), rate(before.transactions, now.transactions), rate(before.queries, now.queries)),
		fmt.Sprintf("  behind   captured %s   loaded %s   visible %s", bytesText(now.captured), bytesText(now.loaded), bytesText(now.visible)),
		"  fresh    " + p(now.fresh),
		"  query    " + p(now.query),
		fmt.Sprintf("  checks   %d of the invariants, %d violations", now.checks, now.violations),
	}
}

func oneLine(since, every time.Duration, before, now sample) string {
	return fmt.Sprintf("%4.0f s  %.0f changes/s  %.0f queries/s  visible %s behind  freshness p50 %.1f p99 %.1f ms  query p50 %.1f p99 %.1f ms  %d checks, %d violations",
		since.Seconds(), float64(now.changes-before.changes)/every.Seconds(), float64(now.queries-before.queries)/every.Seconds(),
		bytesText(now.visible), now.fresh.P50, now.fresh.P99, now.query.P50, now.query.P99, now.checks, now.violations)
}

func bytesText(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", max(n, 0))
}
