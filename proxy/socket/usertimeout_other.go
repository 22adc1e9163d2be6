//go:build !linux && !darwin

package socket

import "time"

// SetUserTimeout does nothing: this system's kernel has no such limit for one socket.
func SetUserTimeout(int, time.Duration) error { return nil }
