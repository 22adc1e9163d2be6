package proxy_test

import (
	"strings"
	"testing"

	"weir/proxy/status"
)

// Of a large statement of a client that waits for a backend weir keeps what it needs to judge it, however much the kernel has: the clients may be
// thousands.
func TestClientsThatWaitKeepLittleInMemory(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	holder := enter(t, w, d)
	holder.Query("BEGIN")
	const clients, each, length = 8, 20 << 10, 100 << 10
	var waiting []*wireClient
	for range clients {
		c := enter(t, w, d)
		waiting = append(waiting, c)
		c.inBackground(lengthOf(length))
	}
	expectPool(t, w, "with all clients waiting, and little kept", func(p status.Pool) bool {
		return p.Clients[status.ClientWaiting] == clients && p.ParkedBytes > 0 && p.ParkedBytes <= clients*each
	})
	holder.Query("COMMIT")
	for _, c := range waiting {
		if got := c.Answer(); got.Err() != nil || got.First() != "102400" {
			t.Errorf("a client that waited has %q, %v", got.First(), got.Err())
		}
	}
}

// lengthOf is a query as long as what it tells.
func lengthOf(n int) string { return "SELECT length('" + strings.Repeat("x", n) + "')" }
