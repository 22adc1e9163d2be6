package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ListenTCP listens on address with that many connections waiting to be accepted (0: the system's limit) and keep-alive
// probes on what is accepted.
func ListenTCP(ctx context.Context, address string, backlog int, keepAlive net.KeepAliveConfig) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := setBacklog(l, backlog); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// ListenUnix listens in dir under the name that libpq derives from port. A socket file that nobody serves any more is
// replaced; one that is served is an error. The file gets mode and is removed when the listener is closed.
func ListenUnix(ctx context.Context, dir string, port int, mode fs.FileMode, backlog int) (net.Listener, error) {
	path := filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port))
	defer lock(dir)()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = l.Close()
		return nil, err
	}
	if err := setBacklog(l, backlog); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// setBacklog calls listen(2) once more: net offers no way to choose, and a second call only changes the number.
func setBacklog(l net.Listener, backlog int) error {
	owner, ok := l.(syscall.Conn)
	if !ok || backlog <= 0 {
		return nil
	}
	raw, err := owner.SyscallConn()
	if err != nil {
		return fmt.Errorf("set backlog: %w", err)
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), backlog) }); err != nil {
		return fmt.Errorf("set backlog: %w", err)
	}
	if listenErr != nil {
		return fmt.Errorf("set backlog: %w", listenErr)
	}
	return nil
}

// lock keeps others who would listen in dir waiting until the result is called: between the finding that a file is stale and its
// removal it may have become another one's, who would never hear of it. A folder that cannot be opened is not locked.
func lock(dir string) (unlock func()) {
	f, err := os.Open(dir) //nolint:gosec // the folder is the operator's own setting
	if err != nil {
		return func() {}
	}
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return func() { _ = f.Close() } // which ends the lock
		}
	}
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
