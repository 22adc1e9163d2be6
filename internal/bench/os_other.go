//go:build !linux

package bench

import (
	"errors"
	"runtime"
	"time"
)

func cpuTime(int) (time.Duration, error) {
	return 0, errors.New("read CPU time: only Linux has /proc; run the benchmarks there")
}

func cpuModel() string { return "unknown CPU" }

func kernel() string { return runtime.GOOS }
