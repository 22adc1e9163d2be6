package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// keepToMemory tells Go's collector how much memory there is, where weir's container or its service may have so much only: without that it lets
// garbage pile up as if the machine were weir's, and the kernel ends weir at a peak that a collection would have spared it. GOMEMLIMIT in the
// environment has precedence.
func keepToMemory() {
	if limit := memoryLimit("/"); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(shareOf(limit))
	}
}

// besideGo is what is not Go's of weir's memory: the program itself, and what the kernel keeps for sockets and threads.
const besideGo = 24 << 20

// shareOf is how much of what there may be Go may have.
func shareOf(limit int64) int64 { return max(limit-max(limit/4, besideGo), limit/2) }

// memoryLimit is the lowest limit of the control groups that this process is in; 0: there is none, or it is not shown. root is where /proc and /sys are.
func memoryLimit(root string) int64 {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup")) //nolint:gosec // a path of the kernel's
	if err != nil {
		return 0
	}
	lowest := int64(0)
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(fields) != 3 {
			continue
		}
		var tree, file string
		switch controllers := strings.Split(fields[1], ","); {
		case fields[1] == "":
			tree, file = "sys/fs/cgroup", "memory.max"
		case slices.Contains(controllers, "memory"):
			tree, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// A limit of a group holds for those in it. In a container the path may be one that only its host can see, and its own limit is at the top.
		for path := filepath.Clean("/" + fields[2]); ; path = filepath.Dir(path) {
			if limit := limitIn(filepath.Join(root, tree, path, file)); limit > 0 && (lowest == 0 || limit < lowest) {
				lowest = limit
			}
			if path == "/" {
				break
			}
		}
	}
	return lowest
}

// unlimited is more than any machine has: what the older control groups show for no limit is about the highest number that there is.
const unlimited = 1 << 50

// limitIn is the number in a file; 0: there is none, or none that limits.
func limitIn(file string) int64 {
	text, err := os.ReadFile(file) //nolint:gosec // a path of the kernel's
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= unlimited { // "max"
		return 0
	}
	return n
}
