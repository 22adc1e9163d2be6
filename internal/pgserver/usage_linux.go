package pgserver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// UsageOf adds up what a process and all its descendants use (proc(5)): memory as proportional set size, in which
// private pages count in full and shared pages by the share of each process that maps them. Processes that end while
// it looks count nothing; a root that is gone is an error, and so is one of another account.
func UsageOf(pid int) (Usage, error) {
	sum, err := processUsage(pid)
	if err != nil {
		return Usage{}, err
	}
	for _, child := range childrenOf(pid) {
		u, err := UsageOf(child)
		if err != nil && !gone(err) {
			return Usage{}, err
		}
		sum.add(u)
	}
	return sum, nil
}

// PssOf is UsageOf's Pss alone, for half its price.
func PssOf(pid int) (int64, error) {
	sum, err := processPss(pid)
	if err != nil {
		return 0, err
	}
	for _, child := range childrenOf(pid) {
		pss, err := PssOf(child)
		if err != nil && !gone(err) {
			return 0, err
		}
		sum += pss
	}
	return sum, nil
}

// gone says that a process ended between the listing and the look.
func gone(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// processUsage reads one process. One that has ended and that its parent has not waited for yet has its CPU time left.
func processUsage(pid int) (u Usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	if u.CPU, err = parseCPU(string(stat)); err != nil {
		return Usage{}, fmt.Errorf("read the CPU time of %d: %w", pid, err)
	}
	pss, err := processPss(pid)
	switch {
	case err == nil && pss > 0:
		u.Pss, u.Processes = pss, 1
	case err == nil || gone(err):
		return u, nil
	default:
		return Usage{}, err
	}
	if u.PageTables, err = sizeIn(pid, "status", "VmPTE:"); err != nil && !gone(err) {
		return Usage{}, err
	}
	return u, nil
}

func processPss(pid int) (int64, error) { return sizeIn(pid, "smaps_rollup", "Pss:") }

// sizeIn reads a line such as "Pss:   123 kB" of a file in /proc/PID, in bytes. A process on its way out has no memory
// left, and no line.
func sizeIn(pid int, file, name string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s of process %d: %w", name, pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, nil
}

// userHz is the unit of CPU times in /proc/PID/stat: 1/100 s on every Linux (USER_HZ, proc(5)).
const userHz = 100

// parseCPU adds up user and system time of a process and of the children that it has waited for, so that a tree's sum
// does not fall when a backend ends.
func parseCPU(stat string) (time.Duration, error) {
	// The command's name stands in parentheses and may itself hold spaces and parentheses.
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("no command in stat")
	}
	fields := strings.Fields(stat[end+1:])
	const utime, cstime = 14 - 3, 17 - 3 // numbered from 1 in proc(5); the first one here is field 3
	if len(fields) <= cstime {
		return 0, fmt.Errorf("stat has %d fields after the command", len(fields))
	}
	var ticks int64
	for _, field := range fields[utime : cstime+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / userHz), nil
}

// childrenOf lists the direct children of a process, of all its threads.
func childrenOf(pid int) []int {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	var children []int
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
