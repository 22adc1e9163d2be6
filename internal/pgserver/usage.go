package pgserver

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process and its descendants use.
type Usage struct {
	Pss        int64         // bytes; see UsageOf for what the system tells
	PageTables int64         // bytes, which Pss leaves out and which the kernel keeps for each process; 0 where it does not tell
	CPU        time.Duration // so far, ended children included; one that ends while somebody looks may be missed by that look
	Processes  int
}

func (u *Usage) add(v Usage) {
	u.Pss += v.Pss
	u.PageTables += v.PageTables
	u.CPU += v.CPU
	u.Processes += v.Processes
}

// parseClock reads a CPU time as ps prints it: 1-02:03:04, 2:03:04, 3:04.56.
func parseClock(s string) (time.Duration, error) {
	days, clock, found := strings.Cut(s, "-")
	if !found {
		days, clock = "0", s
	}
	d, err := strconv.Atoi(days)
	if err != nil {
		return 0, fmt.Errorf("read the CPU time %q: %w", s, err)
	}
	seconds := 0.0
	for part := range strings.SplitSeq(clock, ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time %q: %w", s, err)
		}
		seconds = seconds*60 + n
	}
	return time.Duration(d)*24*time.Hour + time.Duration(seconds*float64(time.Second)), nil
}
