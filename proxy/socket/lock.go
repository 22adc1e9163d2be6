package socket

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long another start may hold the lock: what it does within takes milliseconds.
const lockWait = 5 * time.Second

// lock keeps other processes that would listen under the same name waiting until unlock: after one has found that a socket's file is
// stale and before it removes that, another process may have made the file its own, and would lose it.
//
// The lock is on a file of its own. One on the folder could be held by each account that may read it, for ever. Where that file
// cannot be made, or is another account's, nothing is locked.
func lock(path string, wait time.Duration) (unlock func(), err error) {
	for deadline := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600) //nolint:gosec // the folder is the operator's own setting
		if err != nil {
			return func() {}, nil //nolint:nilerr // listening fails as well if the folder is not there
		}
		if anothers(f) {
			_ = f.Close()
			return func() {}, nil
		}
		if locked(f, path) {
			return func() {
				_ = os.Remove(path) // while it is locked: a process that waits for it looks whether it is still there
				_ = f.Close()
			}, nil
		}
		_ = f.Close()
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s is locked by another process", path)
		}
	}
}

// anothers reports whether a file belongs to another account, which could hold its lock for ever.
func anothers(f *os.File) bool {
	var stat unix.Stat_t
	return unix.Fstat(int(f.Fd()), &stat) != nil || stat.Uid != uint32(os.Geteuid())
}

// locked locks f if no other has, and reports whether it is still the file of that name.
func locked(f *os.File, path string) bool {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false
		}
		break
	}
	held, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(held, there)
}
