package vfstest

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
)

func TestCrashKeepsOnlySyncedBytes(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/a")
	require.NoError(t, err)
	_, err = f.Write([]byte("synced"))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, m.SyncDir("/"))
	_, err = f.Write([]byte("lost"))
	require.NoError(t, err)
	_, err = m.Create("/b")
	require.NoError(t, err)

	c := m.CrashClone(0, 0)
	data, err := vfs.ReadFile(c, "/a")
	require.NoError(t, err)
	require.Equal(t, "synced", string(data))
	_, err = c.Open("/b")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestTruncate(t *testing.T) {
	m := NewMem()
	require.NoError(t, vfs.WriteFile(m, "/a", []byte("0123456789")))
	f, err := m.OpenReadWrite("/a")
	require.NoError(t, err)
	require.NoError(t, f.Truncate(4))
	require.NoError(t, f.Truncate(6))
	require.NoError(t, f.Sync())
	require.NoError(t, m.SyncDir("/"))
	data, err := vfs.ReadFile(m.CrashClone(0, 0), "/a")
	require.NoError(t, err)
	require.Equal(t, "0123\x00\x00", string(data))
}

func TestFaults(t *testing.T) {
	fsys := NewFaults(NewMem())
	fsys.FillAfter(5)
	f, err := fsys.Create("/a")
	require.NoError(t, err)
	n, err := f.Write([]byte("0123456789"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 5, n)
	fsys.Empty()
	fsys.FailSync(2)
	require.NoError(t, f.Sync())
	require.ErrorIs(t, f.Sync(), ErrInjected)
	require.NoError(t, f.Sync())
	mem := fsys.fs.(*Mem)
	require.NoError(t, fsys.SyncDir("/"))
	_, err = f.WriteAt([]byte("9"), 0)
	require.NoError(t, err)
	fsys.FailSync(1)
	require.ErrorIs(t, f.Sync(), ErrInjected)
	require.NoError(t, f.Sync())
	data, err := vfs.ReadFile(mem.CrashClone(0, 0), "/a")
	require.NoError(t, err)
	require.Equal(t, "01234", string(data), "clean in the kernel only")
	fsys.FailReads("/a")
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, ErrInjected)
}

// TestCrashCatchesTheMutant writes a file atomically again and again; the last
// acknowledged content must survive, and a lying Sync must be noticed.
func TestCrashCatchesTheMutant(t *testing.T) {
	run := func(t testing.TB, faults func(*Faults)) int {
		acked := ""
		return Crash[string]{
			Run: func(fsys vfs.FS) {
				for _, s := range []string{"one", "two", "three"} {
					if err := vfs.WriteFile(fsys, "/f", []byte(s)); err != nil {
						t.Error(err)
					}
					acked = s
				}
			},
			Promised: func() string { return acked },
			Check: func(t testing.TB, _ int, fsys vfs.FS, acked string) {
				data, err := vfs.ReadFile(fsys, "/f")
				if errors.Is(err, fs.ErrNotExist) && acked == "" {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				next := map[string]string{"": "one", "one": "two", "two": "three"}
				if s := string(data); s != acked && s != next[acked] {
					t.Errorf("acknowledged %q, found %q", acked, s)
				}
			},
			Torn:   faults == nil,
			Faults: faults,
		}.At(t)
	}
	require.Equal(t, 16, run(t, nil))
	require.NotEmpty(t, Try(t, func(t testing.TB) { run(t, func(f *Faults) { f.Lie(true) }) }))
}
