package bench

import "strings"

// parseCPUModel finds the model's name in /proc/cpuinfo; ARM machines have none.
func parseCPUModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
