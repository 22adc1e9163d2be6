package relay

import (
	"strings"

	"weir/proxy/status"
)

// snapshotPeer says who a client is.
func (c *Client) snapshotPeer() status.Peer {
	return status.Peer{Client: c.pid, Address: c.peer, Application: strings.ToValidUTF8(c.app(), "?")}
}

// snapshotHolder points out which client has had its backend longest.
func (b *Backend) snapshotHolder(s *status.Pool) {
	if held := b.lane.engine.since(b.leased); held >= s.OldestLease && b.client != nil {
		s.Holder = b.client.snapshotPeer()
		s.Holder.Backend = b.pid
	}
}
