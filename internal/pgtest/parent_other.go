//go:build unix && !linux

package pgtest

import "os/exec"

// dieWithParent needs Linux.
func dieWithParent(*exec.Cmd) {}
