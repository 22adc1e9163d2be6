//go:build unix && !linux

package compare

import (
	"runtime"
	"syscall"

	"weir/bookstore/report"
)

// machine describes this one.
func machine() string { return runtime.GOOS + ", " + runtime.GOARCH }

// self is what this process uses.
func self() report.Program {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // its arguments are right
	return report.Program{CPU: float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9}
}

// busy is not found out here.
func busy() float64 { return 0 }

// postmasterOf is not found out here: the server's memory is measured where the server is ours.
func postmasterOf(int) int { return 0 }
