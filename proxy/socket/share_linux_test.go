package socket

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An address is one process's until that shares it, and then each sees that the other is there.
func TestAddressIsSharedWithTheNextProcess(t *testing.T) {
	ctx := context.Background()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		old, err := ListenTCP(ctx, address, 0, TCPOptions{}, false)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			continue // no IPv6 here
		}
		if err != nil {
			t.Fatal(err)
		}
		address = strings.Replace(old.Addr().String(), "[::]", "", 1)
		if l, err := ListenTCP(ctx, address, 0, TCPOptions{}, true); err == nil {
			t.Fatalf("%s: two listen, and one does not know", l.Addr())
		}
		if taken, err := Shared(old.FD()); taken || err != nil {
			t.Errorf("%s: alone: %t, %v", address, taken, err)
		}
		if err := Share(old.FD()); err != nil {
			t.Fatal(err)
		}
		next, err := ListenTCP(ctx, address, 0, TCPOptions{}, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []*Listener{old, next} {
			if taken, err := Shared(l.FD()); !taken || err != nil {
				t.Errorf("%s: of two: %t, %v", address, taken, err)
			}
		}
		_ = old.Close()
		if taken, err := Shared(next.FD()); taken || err != nil {
			t.Errorf("%s: alone again: %t, %v", address, taken, err)
		}
		_ = next.Close()
	}
}
