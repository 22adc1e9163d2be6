package weirtest

import "syscall"

// dieWithParent ends the program when we are killed and cannot.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }
