//go:build !unix

package vfs

import (
	"errors"
	"os"
)

func lock(*os.File) error { return errors.ErrUnsupported }
