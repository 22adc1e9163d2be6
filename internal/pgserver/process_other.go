//go:build unix && !linux

package pgserver

import "syscall"

// dieWithParent has no equivalent here: the caretaker alone ends the server when this program dies.
func dieWithParent(*syscall.SysProcAttr) {}
