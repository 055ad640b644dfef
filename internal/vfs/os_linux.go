package vfs

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func datasync(f *os.File) error {
	return retryInterrupted(func() error { return unix.Fdatasync(int(f.Fd())) })
}

// preallocate also extends the size, so that writes into the reserved part
// change no metadata that fdatasync would have to write.
func preallocate(f *os.File, offset, length int64) error {
	err := retryInterrupted(func() error { return unix.Fallocate(int(f.Fd()), 0, offset, length) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

func retryInterrupted(op func() error) error {
	for {
		if err := op(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
