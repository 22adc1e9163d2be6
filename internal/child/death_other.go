//go:build unix && !linux

package child

import "syscall"

// dieWithParent has no equivalent here.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
