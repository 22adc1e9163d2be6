package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is a listening socket that never blocks. A loop watches FD and then accepts until ErrWouldBlock. Accept and FD may
// be used on any goroutine, Close by its owner once no loop watches it any more.
type Listener struct {
	fd   int
	addr net.Addr
	path string // of a unix socket
}

// FD is the descriptor, which stays the listener's.
func (l *Listener) FD() int { return l.fd }

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.addr }

// Accept takes the next connection: its descriptor, non-blocking and the caller's from then on, and the peer's address. Errors
// are ErrWouldBlock, and what the system says when it has no descriptor left.
func (l *Listener) Accept() (int, net.Addr, error) {
	for {
		fd, peer, err := accept(l.fd)
		switch {
		case err == nil:
			return fd, l.peer(peer), nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED): // the one that went away is not the next one
		case errors.Is(err, unix.EAGAIN):
			return -1, nil, ErrWouldBlock
		default:
			return -1, nil, fmt.Errorf("accept: %w", err)
		}
	}
}

func (l *Listener) peer(sa syscall.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		a := &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
		if sa.ZoneId != 0 {
			a.Zone = strconv.FormatUint(uint64(sa.ZoneId), 10)
		}
		return a
	}
	return l.addr // a unix socket: its clients have no name
}

// Close stops listening, and removes the file of a unix socket.
func (l *Listener) Close() error {
	if l.path != "" {
		_ = os.Remove(l.path)
	}
	return unix.Close(l.fd)
}

// ListenTCP listens on address with that many connections waiting to be accepted (0: the system's limit) and options for what
// is accepted. See Listen for shared.
func ListenTCP(ctx context.Context, address string, backlog int, options TCPOptions, shared bool) (*Listener, error) {
	l, err := Listen(ctx, address, shared)
	if err != nil {
		return nil, err
	}
	return takeListener(l, func(fd int) error {
		return errors.Join(setBacklog(fd, backlog), options.Set(fd))
	})
}

// family is the network of an address. Go would listen for IPv6 as well where 0.0.0.0 is asked for, and the other way round; an address
// without a host is both.
func family(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "tcp"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "tcp"
	case ip.Is4():
		return "tcp4"
	}
	return "tcp6"
}

// errNoListener is for what would fail at each accept for ever.
var errNoListener = errors.New("it is no socket that listens for streams (a systemd.socket unit needs ListenStream, and Accept=no)")

// Inherit takes over a socket that another process has made, which listens already and stays open there. f is closed.
func Inherit(f *os.File, options TCPOptions) (*Listener, error) {
	defer func() { _ = f.Close() }()
	listens, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listens == 0 {
		return nil, errNoListener
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return takeListener(l, func(fd int) error {
		if _, ok := l.Addr().(*net.TCPAddr); ok {
			err := options.Set(fd)
			if errors.Is(err, unix.ENOPROTOOPT) { // multipath TCP, as Go's listeners are, has not all of it
				return nil
			}
			return err
		}
		return nil
	})
}

// ListenUnix listens in dir under the name that libpq derives from port. A socket file that no process serves any more is
// replaced; one that is served is an error. The file gets mode and group (-1: that of the process) and is removed when the listener is
// closed.
func ListenUnix(ctx context.Context, dir string, port int, mode fs.FileMode, group, backlog int) (*Listener, error) {
	path := filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port))
	unlock, err := lock(path+".lock", lockWait)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	taken, err := takeListener(l, func(fd int) error {
		return errors.Join(os.Chown(path, -1, group), os.Chmod(path, mode), setBacklog(fd, backlog))
	})
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	taken.path = path
	return taken, nil
}

// takeListener takes the socket out of Go's hands, which would watch it with a poller of their own, and prepares it.
func takeListener(l net.Listener, prepare func(fd int) error) (*Listener, error) {
	defer func() { _ = l.Close() }()
	fd, err := duplicate(l)
	if err != nil {
		return nil, err
	}
	if err := prepare(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Listener{fd: fd, addr: l.Addr()}, nil
}

// setBacklog calls listen(2) once more: net offers no way to choose, and a second call only changes the number.
func setBacklog(fd, backlog int) error {
	if backlog <= 0 {
		return nil
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fmt.Errorf("set backlog: %w", err)
	}
	return nil
}

// staleDialTimeout bounds the question whether a socket file is served; a local connect answers at once. One that finds a full
// backlog is an error that leaves the file alone.
const staleDialTimeout = time.Second

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way: it is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, staleDialTimeout)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%s is served by another process", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%s is in the way: %w", path, err)
	}
	return os.Remove(path)
}
