package pgtest

import (
	"os/exec"
	"syscall"
)

// dieWithParent stops the server when the test process is killed before it could
// clean up.
func dieWithParent(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGINT
}
