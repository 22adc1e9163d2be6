package proxy

import (
	"net"
	"time"

	"weir/proxy/backend"
	"weir/proxy/cancelkey"
	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/peers"
)

// cancel routes a cancel request to the loop or to the peer that its key names, and returns when that has dealt with it: as with
// PostgreSQL, the client may take the close as the sign that the request has been delivered.
func (p *Proxy) cancel(nc net.Conn, request *login.Cancel) {
	if peer, foreign := p.env.Keys.Foreign(request.PID); foreign {
		p.passOn(nc, peer, request)
		return
	}
	loop, slots, ok := p.env.Keys.Unpack(request.PID)
	if ok && p.current.Load().Config.Listen.PeerID.Number != 0 && cancelkey.Passed(request.Secret) {
		p.peers.Received()
	}
	switch {
	case !ok || loop > len(p.engines)+1:
		return
	case loop == len(p.engines):
		p.replications.Cancel(p.ctx, slots, request.Secret)
		return
	case loop == len(p.engines)+1:
		p.consoles.cancel(slots, request.Secret)
		return
	}
	done := make(chan struct{})
	p.engines[loop].Cancel(slots, request.Secret, func() { close(done) })
	select {
	case <-done:
	case <-p.ctx.Done():
	}
}

// passOn passes a request on to the peer whose key it has.
func (p *Proxy) passOn(nc net.Conn, peer uint16, request *login.Cancel) {
	failure := p.peers.Pass(p.ctx, peer, request.PID, request.Secret)
	switch {
	case failure == nil:
		p.log.Debug("cancel request passed on", "peer", peerOf(nc), "peer_id", peer)
	case p.ctx.Err() == nil:
		p.lines.Warn("cancel request not passed on", "peer", peerOf(nc), "peer_id", peer, "server", failure.Address, "error", failure)
	}
}

// longKey reports whether a client gets a key of the length that PostgreSQL 18's have.
func longKey(result login.Result, g *generation.Generation) bool {
	return result.Minor >= 2 && !g.Config.ShortKeys()
}

// peerSettings are what the configuration says of peers.
func peerSettings(g *generation.Generation) peers.Settings {
	s := peers.Settings{
		Timeout: time.Duration(g.Config.Timeouts.CancelWaitTimeout), Requests: g.Descriptors.PeerRequests(),
	}
	for _, p := range g.Config.AllPeers() {
		s.Peers = append(s.Peers, peers.Peer{
			ID: uint16(p.ID), Most: p.PoolSize,
			Target: backend.Target{Host: p.Host, Port: p.Port, TLS: g.ServerTLS.Peer(p.SSLMode)},
		})
	}
	return s
}
