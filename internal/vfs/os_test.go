package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/schemas"
)

func TestOSFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, MakeDir(OS, dir))
	name := filepath.Join(dir, "f")
	_, err := OS.Open(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = OS.OpenReadWrite(name)
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, WriteFile(OS, name, []byte("one")))
	require.NoError(t, WriteFile(OS, name, []byte("twelve")))
	data, err := ReadFile(OS, name)
	require.NoError(t, err)
	require.Equal(t, "twelve", string(data))

	f, err := OS.OpenReadWrite(name)
	require.NoError(t, err)
	require.NoError(t, f.Preallocate(0, 1<<16))
	_, err = f.WriteAt([]byte("T"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Truncate(3))
	require.NoError(t, f.Close())
	data, err = ReadFile(OS, name)
	require.NoError(t, err)
	require.Equal(t, "Twe", string(data))

	names, err := OS.List(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, names)
}

func TestOSLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	l, err := OS.Lock(name)
	require.NoError(t, err)
	_, err = OS.Lock(name)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, l.Close())
	l, err = OS.Lock(name)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestTyped(t *testing.T) {
	require.NoError(t, Typed("write", nil))
	full := Typed("append", fmt.Errorf("write f: %w", syscall.ENOSPC))
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(full))
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(Typed("again", full)))
	require.Equal(t, schemas.CodeInUse, schemas.CodeOf(Typed("open", ErrLocked)))
	require.Equal(t, schemas.CodeIO, schemas.CodeOf(Typed("open", errors.New("x"))))
}
