//go:build !linux

package socket

import "syscall"

// accept holds the lock that keeps a child from being born before it is said that children do not inherit the descriptor.
func accept(fd int) (int, syscall.Sockaddr, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	nfd, peer, err := syscall.Accept(fd)
	if err != nil {
		return -1, nil, err
	}
	syscall.CloseOnExec(nfd)
	if err := syscall.SetNonblock(nfd, true); err != nil {
		_ = syscall.Close(nfd)
		return -1, nil, err
	}
	return nfd, peer, nil
}
