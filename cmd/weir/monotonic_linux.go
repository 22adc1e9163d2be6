package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the system's clock since its start, by which systemd knows a note about a reload from an older one.
func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // which every Linux has
	return time.Duration(now.Nano())
}
