package ports

import (
	"net"
	"testing"

	"weir/proxy/prelogin"
	"weir/proxy/socket"
)

// Whoever finds a port taken, as by PgBouncer or its exporter, is told which setting moves weir away from there.
func TestTakenAddressIsToldWithItsSetting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	_, err = socket.Listen(t.Context(), address, false)
	if err == nil {
		t.Fatal("listens where another does")
	}
	want := "listen on " + address + " ([http] address): address already in use; another program listens there: end it, or choose another address"
	if got := CannotListen("[http] address", address, err).Error(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestNothingIsAcceptedAtAClosedPort: a second SIGTERM may close it amid a drain, and its descriptor may be a client's by then.
func TestNothingIsAcceptedAtAClosedPort(*testing.T) {
	o := &port{closed: true, accepting: new(prelogin.Acceptor)} // which has no listener to accept at
	o.acceptWaiting()
}
