package socket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestListenUnixServesUnderLibpqsName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".s.PGSQL.6432")
	for _, mode := range []fs.FileMode{0o777, 0o700} {
		l, err := ListenUnix(context.Background(), dir, 6432, mode, -1, 16)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != fs.ModeSocket|mode {
			t.Errorf("mode %v, want %v: %v", info.Mode(), mode, err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
	}
}

// stale leaves a socket file behind that nobody serves, as a killed process does.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
}

func TestListenUnixReplacesAStaleFile(t *testing.T) {
	dir := t.TempDir()
	stale(t, filepath.Join(dir, ".s.PGSQL.5432"))
	l, err := ListenUnix(context.Background(), dir, 5432, 0o777, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.5432")); err != nil {
		t.Error(err)
	}
}

func TestListenUnixLeavesOthersAlone(t *testing.T) {
	live := func(t *testing.T, path string) {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	for what, c := range map[string]struct {
		put  func(t *testing.T, path string)
		want string
	}{
		"a socket that is served": {live, "is served by another process"},
		"a file": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is in the way: it is not a socket"},
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is in the way: it is not a socket"},
		"a link, wherever it leads": {func(t *testing.T, path string) {
			stale(t, path+".target")
			if err := os.Symlink(path+".target", path); err != nil {
				t.Fatal(err)
			}
		}, "is in the way: it is not a socket"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, ".s.PGSQL.1")
			c.put(t, path)
			l, err := ListenUnix(context.Background(), dir, 1, 0o777, -1, 0)
			if err == nil {
				_ = l.Close()
				t.Fatal("it listens")
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("it has been removed: %v", err)
			}
		})
	}
}

func TestListenUnixInNoFolder(t *testing.T) {
	if l, err := ListenUnix(context.Background(), filepath.Join(t.TempDir(), "absent"), 1, 0o777, -1, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v %v", l, err)
	}
}

// TestListenUnixHasOneWinner starts many at once on a stale file. Whoever loses must not take away the winner's file.
func TestListenUnixHasOneWinner(t *testing.T) {
	for range 30 {
		dir := t.TempDir()
		path := filepath.Join(dir, ".s.PGSQL.1")
		stale(t, path)
		var all sync.WaitGroup
		var mu sync.Mutex
		var won []*Listener
		for range 8 {
			all.Go(func() {
				if l, err := ListenUnix(context.Background(), dir, 1, 0o777, -1, 0); err == nil {
					mu.Lock()
					won = append(won, l)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d listen", len(won))
		}
		if c, err := net.Dial("unix", path); err != nil {
			t.Errorf("the winner cannot be reached: %v", err)
		} else {
			_ = c.Close()
		}
		_ = won[0].Close()
	}
}

func TestListenTCPRefuses(t *testing.T) {
	l, err := ListenTCP(context.Background(), "127.0.0.1:0", 0, TCPOptions{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := ListenTCP(context.Background(), l.Addr().String(), 0, TCPOptions{}, false); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address that is taken: %v", err)
	}
	if _, err := ListenTCP(context.Background(), "nowhere", 0, TCPOptions{}, false); err == nil {
		t.Error("it listens on an address without a port")
	}
}

// TestInheritTakesListenersOnly: a connection, as systemd hands it over with Accept=yes, would have its accept fail for ever.
func TestInheritTakesListenersOnly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	connection, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = datagrams.Close() }()
	for what, from := range map[string]interface{ File() (*os.File, error) }{
		"a connection": connection.(*net.TCPConn), "a socket for datagrams": datagrams.(*net.UDPConn),
	} {
		f, err := from.File()
		if err != nil {
			t.Fatal(err)
		}
		if l, err := Inherit(f, TCPOptions{}); err == nil {
			_ = l.Close()
			t.Errorf("%s is taken for a listener", what)
		}
	}
}
