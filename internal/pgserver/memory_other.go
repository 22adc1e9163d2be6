//go:build unix && !linux

package pgserver

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// PssOf is, for want of a proportional figure on this system, the sum of the resident sizes in bytes of a process and
// all its descendants, as ps tells them: shared memory counts in every process that touched it.
func PssOf(pid int) (int64, error) {
	table, err := processTable()
	if err != nil {
		return 0, err
	}
	if _, ok := table[pid]; !ok {
		return 0, fmt.Errorf("process %d is gone", pid)
	}
	var sum int64
	for todo := []int{pid}; len(todo) > 0; todo = todo[1:] {
		sum += table[todo[0]].resident
		for child, row := range table {
			if row.parent == todo[0] && child != row.parent {
				todo = append(todo, child)
			}
		}
	}
	return sum, nil
}

type processRow struct {
	parent   int
	resident int64 // bytes
}

func processTable() (map[int]processRow, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,rss=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	table := map[int]processRow{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		pid, err1 := strconv.Atoi(f[0])
		parent, err2 := strconv.Atoi(f[1])
		kib, err3 := strconv.ParseInt(f[2], 10, 64)
		if err1 == nil && err2 == nil && err3 == nil {
			table[pid] = processRow{parent, kib << 10}
		}
	}
	return table, nil
}

func childrenOf(pid int) []int {
	table, err := processTable()
	if err != nil {
		return nil
	}
	var children []int
	for child, row := range table {
		if row.parent == pid {
			children = append(children, child)
		}
	}
	return children
}
