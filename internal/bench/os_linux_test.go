package bench

import (
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestCPUTimeIsTheProcesssClock(t *testing.T) {
	before := ownCPU(t)
	got, err := cpuTime(os.Getpid())
	if after := ownCPU(t); err != nil || got < before || got > after {
		t.Errorf("%v, %v, between %v and %v of the process's own clock", got, err, before, after)
	}
	if got, err := cpuTime(1 << 27); err == nil { // beyond the kernel's largest
		t.Errorf("a process that cannot be has used %v", got)
	}
}

func ownCPU(t *testing.T) time.Duration {
	const processClock = 2 // CLOCK_PROCESS_CPUTIME_ID
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, processClock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		t.Fatal(errno)
	}
	return time.Duration(ts.Nano())
}
