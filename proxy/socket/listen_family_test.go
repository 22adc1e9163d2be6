package socket

import (
	"context"
	"net"
	"strconv"
	"testing"
)

func TestAnyAddressOfAFamilyIsOfThatFamilyOnly(t *testing.T) {
	for _, c := range []struct {
		address string
		v4, v6  bool
	}{{"0.0.0.0:0", true, false}, {"[::]:0", false, true}, {":0", true, true}} {
		l, err := ListenTCP(context.Background(), c.address, 0, TCPOptions{}, false)
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		for host, want := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
			nc, err := net.Dial("tcp", net.JoinHostPort(host, port))
			if err == nil {
				_ = nc.Close()
			}
			if (err == nil) != want {
				t.Errorf("%s answers at %s: %t (%v), want %t", c.address, host, err == nil, err, want)
			}
		}
		_ = l.Close()
	}
}
