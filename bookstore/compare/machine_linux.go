package compare

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"weir/bookstore/report"
)

// machine describes this one: processor, memory, system.
func machine() string {
	parts := []string{"unknown processor"}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if model := fieldOf(string(b), "model name"); model != "" {
			parts[0] = model
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _, _ := strings.Cut(fieldOf(string(b), "MemTotal"), " ")
		if n, err := strconv.ParseInt(kib, 10, 64); err == nil {
			parts = append(parts, fmt.Sprintf("%.1f GiB", float64(n)/(1<<20)))
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "Linux "+strings.TrimSpace(string(b)))
	}
	return strings.Join(parts, ", ")
}

// fieldOf finds "name : value".
func fieldOf(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// self is what this process uses.
func self() report.Program {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // its arguments are right
	return report.Program{CPU: float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9}
}

// busy is for how many seconds this machine's cores have not been idle since it started, all cores together. What a
// hypervisor gave to other machines meanwhile counts, too. 0: not known.
func busy() (seconds float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal guest guest_nice (proc(5))
	if len(fields) < 9 {
		return 0
	}
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // guest is in user
		ticks, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return 0
		}
		seconds += ticks / userHZ
	}
	return seconds
}

// userHZ is in how many ticks a second /proc counts: 100 on every architecture that Go runs on.
const userHZ = 100

// postmasterOf finds the parent of a backend whose server seems to run on this machine; 0 when there is no such process
// here: it may be in another container.
func postmasterOf(backend int) int {
	folder := filepath.Join("/proc", strconv.Itoa(backend))
	status, err := os.ReadFile(filepath.Join(folder, "status"))
	if err != nil || !strings.HasPrefix(fieldOf(string(status), "Name"), "postgres") {
		return 0
	}
	parent, err := strconv.Atoi(fieldOf(string(status), "PPid"))
	if err != nil || parent <= 1 {
		return 0
	}
	return parent
}
