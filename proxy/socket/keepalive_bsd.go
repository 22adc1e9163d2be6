//go:build freebsd || netbsd || dragonfly

package socket

import "golang.org/x/sys/unix"

const (
	keepIdle    = unix.TCP_KEEPIDLE
	userTimeout = 0 // there is none
	deferAccept = 0 // likewise
)
