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
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return false, err
	}
	own := strconv.FormatUint(stat.Ino, 10)
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			return false, err
		}
		found, others := othersIn(f, own)
		_ = f.Close()
		if found {
			return others, nil
		}
	}
	return false, errors.New("the socket is not in /proc/net/tcp")
}

// othersIn looks for a socket by its inode among those that listen, which come first, and for others at its address.
func othersIn(table io.Reader, own string) (found, others bool) {
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
	return address != "", at[address] > 1
}
