//go:build unix && !linux

package weirtest

import "syscall"

// dieWithParent has no equivalent here: a program outlives us if we are killed by SIGKILL.
func dieWithParent(*syscall.SysProcAttr) {}
