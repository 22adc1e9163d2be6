package socket

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func flock(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return f
}

// Each account that may read the folder can lock it.
func TestLockOnTheFolderKeepsNoSocketOut(t *testing.T) {
	dir := t.TempDir()
	flock(t, dir, os.O_RDONLY)
	l, err := ListenUnix(context.Background(), dir, 1, 0o777, -1, 0) // it would hang here
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

func TestLockThatIsHeldIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	flock(t, path, os.O_RDWR|os.O_CREATE)
	if _, err := lock(path, time.Millisecond); err == nil || !strings.Contains(err.Error(), path+" is locked by another process") {
		t.Errorf("got %v", err)
	}
}

func TestLockIsWaitedForAndLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := lock(path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan func())
	go func() {
		unlock, err := lock(path, time.Minute)
		if err != nil {
			t.Error(err)
		}
		second <- unlock
	}()
	select {
	case <-second:
		t.Fatal("two have it")
	case <-time.After(50 * time.Millisecond):
	}
	first()
	(<-second)()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

// A file of that name that leads elsewhere is not followed, and does not stop the start.
func TestLockFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	target, path := filepath.Join(dir, "precious"), filepath.Join(dir, "lock")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link's target has been made: %v", err)
	}
}
