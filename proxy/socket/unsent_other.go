//go:build !linux

package socket

// Unsent is not known on this system.
func Unsent(int) int { return 0 }
