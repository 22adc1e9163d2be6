package socket

import (
	"crypto/tls"
	"testing"

	"golang.org/x/sys/unix"
)

// What the peer has sent is unread until it has been read to its end.
func TestUnreadIsWhatNoReadHasTaken(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t)
			var shared IO
			if c.Unread() {
				t.Error("unread before anything was sent")
			}
			if _, err := unix.Write(peer, []byte("four")); err != nil {
				t.Fatal(err)
			}
			await(t, c.FD())
			if !c.Unread() {
				t.Error("what the peer has sent is not unread")
			}
			for _, want := range []bool{true, false} {
				if _, err := c.Read(&shared, make([]byte, 3)); err != nil {
					t.Fatal(err)
				}
				if got := c.Unread(); got != want {
					t.Errorf("unread %t, want %t", got, want)
				}
			}
		})
	}
}

// Over TLS it is what has not been decrypted as well.
func TestUnreadKnowsWhatTLSHolds(t *testing.T) {
	bothRoles(t, func(t *testing.T, config *tls.Config, client bool) {
		p := newTLSPair(t, config, client, "", 0)
		b := make([]byte, plaintextMax+1000)
		for p.Unread() {
			_, _ = p.Read(&p.shared, b)
		}
		p.peerSends("four")
		p.awaitBytes(4)
		if !p.Unread() {
			t.Error("what the peer has sent is not unread")
		}
		if n, err := p.Read(&p.shared, b); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		for p.Pending() {
			_, _ = p.Read(&p.shared, b)
		}
		if p.Unread() {
			t.Error("all has been read")
		}
	})
}
