package load

import (
	"os"
	"strconv"
	"strings"
)

// listenOverflows is TcpExt ListenOverflows of /proc/net/netstat: a line of names, then a line of values.
func listenOverflows() int64 {
	b, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return 0
	}
	return overflowsIn(string(b))
}

func overflowsIn(netstat string) int64 {
	var names []string
	for line := range strings.Lines(netstat) {
		rest, ok := strings.CutPrefix(line, "TcpExt:")
		if !ok {
			continue
		}
		if names == nil {
			names = strings.Fields(rest)
			continue
		}
		for i, value := range strings.Fields(rest) {
			if i < len(names) && names[i] == "ListenOverflows" {
				n, _ := strconv.ParseInt(value, 10, 64) // the kernel writes numbers
				return n
			}
		}
	}
	return 0
}
