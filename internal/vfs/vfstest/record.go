package vfstest

import (
	"fmt"
	"sync"
	"testing"
)

// Recorder is a testing.TB that remembers failures instead of failing, so that
// a test can demand that a check catches a mutant. Methods other than Error,
// Fatal, Log, Failed and Helper are those of the wrapped test.
type Recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
}

// Failures returns what was reported so far.
func (r *Recorder) Failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.failures...)
}

// Failed says whether anything was reported.
func (r *Recorder) Failed() bool { return len(r.Failures()) > 0 }

func (r *Recorder) fail(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, s)
}

type recorded struct{}

// Try runs f with a recorder and returns the failures. Fatal ends f, also from
// another goroutine's point of view: the rest of f does not run.
func Try(t testing.TB, f func(t testing.TB)) []string {
	r := &Recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil {
				if _, ours := p.(recorded); !ours {
					panic(p)
				}
			}
		}()
		f(r)
	}()
	return r.Failures()
}

// Error records a failure.
func (r *Recorder) Error(args ...any) { r.fail(fmt.Sprint(args...)) }

// Errorf records a failure.
func (r *Recorder) Errorf(format string, args ...any) { r.fail(fmt.Sprintf(format, args...)) }

// Fail records a failure.
func (r *Recorder) Fail() { r.fail("failed") }

// Fatal records a failure and ends the function given to Try.
func (r *Recorder) Fatal(args ...any) { r.fail(fmt.Sprint(args...)); panic(recorded{}) }

// Fatalf records a failure and ends the function given to Try.
func (r *Recorder) Fatalf(format string, args ...any) {
	r.fail(fmt.Sprintf(format, args...))
	panic(recorded{})
}

// FailNow records a failure and ends the function given to Try.
func (r *Recorder) FailNow() { r.fail("failed"); panic(recorded{}) }

// Log says nothing: failures of a mutant are wanted.
func (r *Recorder) Log(...any) {}

// Logf says nothing.
func (r *Recorder) Logf(string, ...any) {}
