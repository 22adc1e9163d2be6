package socket

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestPeerOfAUnixSocketIsKnown(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	uid, err := PeerUID(server)
	if err != nil || int(uid) != os.Getuid() {
		t.Errorf("user %d, %v; want %d", uid, err, os.Getuid())
	}
}

func TestPeerElsewhereIsAnError(t *testing.T) {
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	if uid, err := PeerUID(pipe); err == nil {
		t.Errorf("the peer of a pipe is user %d", uid)
	}
	closed, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	client, err := net.Dial("unix", closed.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	if uid, err := PeerUID(client); err == nil {
		t.Errorf("the peer of a closed connection is user %d", uid)
	}
}
