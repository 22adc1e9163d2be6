//go:build !linux && !darwin

package socket

import "time"

// SetUserTimeout does nothing: this system's kernel has no such limit for one socket.
func SetUserTimeout(int, time.Duration) error { return nil }

// TendUserTimeout is for systems where a peer that takes nothing in counts as silent.
func TendUserTimeout(int, time.Duration) error { return nil }
