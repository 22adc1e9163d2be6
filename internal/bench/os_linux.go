package bench

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime is the user and system time that a process has used so far, ended threads included: what its clock says
// (clock_getcpuclockid), in nanoseconds. /proc/PID/stat has it in hundredths of a second, which is as long as a tenth of a gigabyte takes.
func cpuTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h: what the scheduler has counted
	clock := ^pid<<3 | scheduled
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, errno)
	}
	return time.Duration(t.Nano()), nil
}

// cpuModel and kernel describe the machine for the report.
func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	return parseCPUModel(string(b))
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "Linux"
	}
	return "Linux " + strings.TrimSpace(string(b))
}
