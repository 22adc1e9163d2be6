package load

import (
	"fmt"
	"syscall"
)

// filesBeside is what a process needs beside its connections: its output, the poller, a library's own.
const filesBeside = 50

// enoughFiles refuses a load that would fail for want of descriptors, and fail in a way that looks like the target's.
// Go raises the soft limit to the hard one when a program starts.
func enoughFiles(clients int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	most := uint64(limit.Cur) //nolint:unconvert // it is signed on FreeBSD
	if need := uint64(clients + filesBeside); most < need {
		return fmt.Errorf("%d clients need %d open files and the limit is %d; raise it (ulimit -n %d)", clients, need, most, need)
	}
	return nil
}
