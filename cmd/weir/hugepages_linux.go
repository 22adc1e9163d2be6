package main

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// avoidHugePages keeps weir's memory in pages of the ordinary size. Where the system hands out huge ones unasked (Debian's and Red Hat's kernels do),
// each that Go has touched anywhere is 2 MiB: an idle weir is 5 MB larger for nothing. What Go's own start has touched stays, so the
// program is started once more, in the same process; that it must not have any is kept (prctl(2), PR_SET_THP_DISABLE). Call it before anything is
// opened. If it fails weir is larger, no more.
func avoidHugePages() {
	mode, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || !strings.Contains(string(mode), "[always]") {
		return
	}
	if off, err := unix.PrctlRetInt(unix.PR_GET_THP_DISABLE, 0, 0, 0, 0); err != nil || off != 0 {
		return // it has been started once more
	}
	if unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0) == nil {
		_ = unix.Exec("/proc/self/exe", os.Args, os.Environ())
	}
}
