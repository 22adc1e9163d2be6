package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"weir/proxy/socket"
	"weir/proxy/status"
)

// TestIdleTLSClientsCostLittle: five hundred clients log in with TLS, send a record as large as one may be, and are idle then. The
// test keeps of each a descriptor and no more, so what is on the heap is weir's.
func TestIdleTLSClientsCostLittle(t *testing.T) {
	// Measured 3,900 bytes with TLS 1.3 in 2026-11, of them 3,400 crypto/tls's; its input buffer alone would be 18 KiB more.
	const clients, budget = 500, 6 << 10
	d := database(t)
	w := startWithTLS(t, d, "")
	closeAll(openWithTLS(t, w, func() *wireClient { return enter(t, w, d) }, 20))
	expectPool(t, w, "none", func(p status.Pool) bool { return clientCount(p) == 0 })
	before := liveHeap()
	fds := openWithTLS(t, w, func() *wireClient { return enter(t, w, d) }, clients)
	defer func() { closeAll(fds) }()
	eventually(t, func() string { // the goroutines of the logins are over
		if n := w.Proxy.Snapshot().Logins.Now; n > 0 {
			return fmt.Sprintf("%d logins", n)
		}
		return ""
	})
	each := (liveHeap() - before) / clients
	t.Logf("%d bytes of heap a client", each)
	if each > budget {
		t.Errorf("an idle client with TLS costs %d bytes of heap, want at most %d", each, budget)
	}
}

// openWithTLS lets clients in, which have a large query answered each, and keeps their descriptors only.
func openWithTLS(t *testing.T, w *weirUnderTest, enter func() *wireClient, n int) []int {
	t.Helper()
	query := "SELECT length('" + strings.Repeat("x", 16000) + "')"
	fds := make([]int, 0, n)
	for range n {
		c := enter()
		if got := c.Query(query); got != "16000" {
			t.Fatalf("length %s", got)
		}
		fd, err := socket.Detach(c.netConn())
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}
