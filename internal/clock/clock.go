// Package clock is time as Millrace sees it, injected so that tests can own it.
package clock

import "time"

// Clock tells the time and makes timers.
type Clock interface {
	// Now is the wall clock, with the monotonic reading where there is one.
	Now() time.Time
	// After sends the time once d has passed.
	After(d time.Duration) <-chan time.Time
}

// System is the clock of the operating system.
var System Clock = system{}

type system struct{}

func (system) Now() time.Time                         { return time.Now() }
func (system) After(d time.Duration) <-chan time.Time { return time.After(d) }
