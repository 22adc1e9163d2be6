//go:build darwin || freebsd

package socket

import "golang.org/x/sys/unix"

// solLocal is SOL_LOCAL, the level of LOCAL_PEERCRED: 0 in <sys/un.h> of macOS and FreeBSD.
const solLocal = 0

func peerUID(fd int) (uint32, error) {
	cred, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

func peerPID(int) uint32 { return 0 }
