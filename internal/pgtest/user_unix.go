//go:build unix

package pgtest

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// quitSignal is PostgreSQL's immediate shutdown: no checkpoint, recovery at the
// next start. (SIGKILL would leave its children behind.)
var quitSignal os.Signal = syscall.SIGQUIT

// ordinary gives user and group to run as, when the test runs as root, which
// PostgreSQL refuses.
func ordinary() (uid, gid int, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			return uid, gid, true
		}
	}
	return 0, 0, false
}

func ordinaryUser() *syscall.SysProcAttr {
	uid, gid, ok := ordinary()
	if !ok {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// own gives a path to the user that the server runs as.
func own(path string) error {
	uid, gid, ok := ordinary()
	if !ok {
		return nil
	}
	return os.Chown(path, uid, gid)
}
