package socket

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// canShare: a process that has left an address to another can see that it is taken up.
const canShare = true

// listening is the state of a socket in /proc/net/tcp: TCP_LISTEN in Linux' include/net/tcp_states.h.
const listening = "0A"

// Shared reports whether another socket listens where this one does.
func Shared(fd int) (bool, error) {
	n, err := listeners(fd)
	return n > 1, err
}

// Divert has the kernel give new connections to the one other socket that listens where this one does, which came later. Those that are being
// made still come to this one, and when it is closed the other one gets all. It cannot be done where there are several others.
//
// The kernel numbers the sockets of an address in the order in which they began to listen, and moves the last one to where one is closed
// (reuseport_add_sock and reuseport_detach_sock in its net/core/sock_reuseport.c). So of two the later is number 1. Once it is alone
// there is no number 1, and the kernel goes on without the program.
func Divert(fd int) error {
	n, err := listeners(fd)
	switch {
	case err != nil:
		return err
	case n != 2:
		return errors.ErrUnsupported
	}
	later := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 1}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &later})
}

// undivert takes back what another process may have left at the address, which would count the sockets anew with this one.
func undivert(fd int) error {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0) // fails where there is nothing
	return nil
}

// listeners is how many sockets listen where this one does, itself included.
func listeners(fd int) (int, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, err
	}
	own := strconv.FormatUint(stat.Ino, 10)
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name) //nolint:gosec // one of two names
		if err != nil {
			return 0, err
		}
		n := listenersIn(f, own)
		_ = f.Close()
		if n > 0 {
			return n, nil
		}
	}
	return 0, errors.New("the socket is not in /proc/net/tcp")
}

// listenersIn looks for a socket by its inode among those that listen, which come first, and counts those at its address; 0: it is not there.
func listenersIn(table io.Reader, own string) int {
	at := map[string]int{}
	var address string
	lines := bufio.NewScanner(table)
	lines.Scan() // the heading
	for lines.Scan() {
		const local, state, inode = 1, 3, 9
		fields := strings.Fields(lines.Text())
		if len(fields) <= inode || fields[state] != listening {
			break
		}
		at[fields[local]]++
		if fields[inode] == own {
			address = fields[local]
		}
	}
	return at[address] // that of no address is 0
}
