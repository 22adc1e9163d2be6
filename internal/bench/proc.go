package bench

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// userHz is the unit of CPU times in /proc/PID/stat: 1/100 s on every Linux (USER_HZ, proc(5)). The kernel scales
// user and system time so that their sum is the scheduler's exact run time, rounded down to this unit.
const userHz = 100

// parseCPU reads user and system time of a whole process, ended threads included, from /proc/PID/stat.
func parseCPU(stat string) (time.Duration, error) {
	// The command's name stands in parentheses and may itself hold spaces and parentheses.
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("no command in stat")
	}
	fields := strings.Fields(stat[end+1:])
	const utime, stime = 14 - 3, 15 - 3 // numbered from 1 in proc(5); the first one here is field 3
	if len(fields) <= stime {
		return 0, fmt.Errorf("stat has %d fields after the command", len(fields))
	}
	var ticks int64
	for _, field := range fields[utime : stime+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / userHz), nil
}

// parseCPUModel finds the model's name in /proc/cpuinfo; ARM machines have none.
func parseCPUModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
