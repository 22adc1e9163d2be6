package pgserver

import "syscall"

// dieWithParent lets the kernel end the server at once (SIGQUIT: immediate shutdown, which takes the children along)
// when this program dies.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
