package load

import "testing"

func TestOverflowsAreFoundByName(t *testing.T) {
	const netstat = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 42 43\nIpExt: InNoRoutes\nIpExt: 7\n"
	if got := overflowsIn(netstat); got != 42 {
		t.Errorf("overflowsIn = %d, want 42", got)
	}
}
