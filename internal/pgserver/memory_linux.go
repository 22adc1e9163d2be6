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
)

// PssOf is the proportional set size in bytes of a process and all its descendants: private pages count in full,
// shared pages by the share of each process that maps them (/proc/PID/smaps_rollup, proc(5)). Processes that end
// while it looks count nothing; a root that is gone is an error.
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

func processPss(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the Pss of %d: %w", pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, nil // a process on its way out has no memory left
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
