//go:build soak

package demo

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSoakKill is TestKill for as long as MILLRACE_SOAK says, with the broker's data
// cut short now and then.
func TestSoakKill(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("MILLRACE_SOAK"))
	if err != nil {
		t.Fatalf("MILLRACE_SOAK is no duration such as 10m: %v", err)
	}
	for end := time.Now().Add(length); time.Now().Before(end); {
		killRounds(t, 20, func(round int, dir string) {
			if round%7 == 6 {
				cutFiles(t, filepath.Join(dir, "broker"))
			}
		})
	}
}
