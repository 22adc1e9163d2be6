//go:build unix && !linux

package pgserver

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// UsageOf is, for want of a proportional figure on this system, the sum of the resident sizes of a process and all its
// descendants, as ps tells them: shared memory counts in every process that touched it. Page tables are not told, and
// the CPU time of children that have ended is lost.
func UsageOf(pid int) (Usage, error) {
	table, err := processTable()
	if err != nil {
		return Usage{}, err
	}
	if _, ok := table[pid]; !ok {
		return Usage{}, fmt.Errorf("process %d is gone", pid)
	}
	var sum Usage
	for todo := []int{pid}; len(todo) > 0; todo = todo[1:] {
		sum.add(table[todo[0]].Usage)
		for child, row := range table {
			if row.parent == todo[0] && child != row.parent {
				todo = append(todo, child)
			}
		}
	}
	return sum, nil
}

// PssOf is UsageOf's Pss alone.
func PssOf(pid int) (int64, error) {
	u, err := UsageOf(pid)
	return u.Pss, err
}

type processRow struct {
	parent int
	Usage
}

func processTable() (map[int]processRow, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,rss=,time=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	table := map[int]processRow{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 4 {
			continue
		}
		pid, err1 := strconv.Atoi(f[0])
		parent, err2 := strconv.Atoi(f[1])
		kib, err3 := strconv.ParseInt(f[2], 10, 64)
		cpu, err4 := parseClock(f[3])
		if errors.Join(err1, err2, err3, err4) == nil {
			table[pid] = processRow{parent, Usage{Pss: kib << 10, CPU: cpu, Processes: 1}}
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
