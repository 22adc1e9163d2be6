package proxy

import (
	"crypto/rand"
	"log/slog"
	"time"

	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/hosts"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/places"
	"weir/proxy/prelogin"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/status"
	"weir/proxy/tunnel"
	"weir/proxy/wire"
)

// replicate serves a client that asks for replication: it gets a backend of its own, which is dialled with the client's startup
// parameters, outside of the pools and within the limits over them, and which ends with it. c is closed or handed over when replicate
// returns.
func (p *Proxy) replicate(c *prelogin.Conn, result login.Result, settings []session.Setting, leave func()) {
	r := &replication{
		secret: p.env.Keys.NewSecret(rand.Reader), longKey: longKey(result, p.current.Load()), peer: peerOf(c),
		key: generation.PoolKey{Database: result.Database, User: result.User}, kind: result.Replication, number: p.env.Number(), began: time.Now(), place: newOwnPlace(p.router.Places),
	}
	if p.accounts.Learn(result) {
		p.router.Pardon(p.current.Load().PoolOf(result.Database, result.User))
	}
	p.replications.begin(r)
	var conn *backend.Conn
	var trouble *pgerror.Error
	c.Apart(func() { conn, trouble = p.dialReplication(r, result.Replication, settings, c.HungUp) })
	fd := -1
	if trouble == nil {
		var err error
		if fd, err = socket.Detach(conn.Net); err != nil {
			trouble = pgerror.Unreachable(conn.Target.Address(), err.Error())
		}
	}
	if trouble != nil {
		p.replications.giveUp(r)
		r.place.leave()
		leave()
		p.refuse(result, trouble)
		return
	}
	r.backend = conn
	greeting := p.replications.enter(r, result.Owed)
	seat := c.Seat()
	clientFD, token, ahead := c.Leave(c.Loop())
	gone := func() {
		seat.Leave()
		p.replicationGone(r, leave)
	}
	t, err := tunnel.Open(c.Loop(), tunnel.Config{
		Client:   tunnel.Side{FD: clientFD, TLS: result.TLS, Token: token, Here: true},
		Backend:  tunnel.Side{FD: fd, TLS: conn.TLS},
		Greeting: greeting, Ahead: ahead, Limits: tunnelLimits(p.current.Load(), r.key),
		OnBeyond: func(b tunnel.Breach) []byte { return p.replicationBeyond(r, b) },
		OnGone:   gone,
	})
	if err != nil {
		p.log.Error("client not taken over", "error", err, "peer", r.peer)
		gone()
		return
	}
	p.replications.opened(r, t)
	t.SetLimits(tunnelLimits(p.current.Load(), r.key)) // a reload may have come meanwhile
	p.lines.Log(slog.LevelInfo, "replication connection opened", "peer", r.peer, "user", result.User, "db", result.Database,
		"replication", result.Replication.Parameter(), "backend", conn.PID)
}

func (p *Proxy) replicationGone(r *replication, leave func()) {
	p.replications.leave(r)
	r.place.leave()
	leave()
	p.lines.Log(slog.LevelInfo, "replication connection closed", "peer", r.peer, "user", r.key.User, "db", r.key.Database, "backend", r.backend.PID)
}

// farewell is an error as the message that a client gets last.
func (p *Proxy) farewell(err *pgerror.Error) []byte {
	return wire.AppendErrorResponse(nil, p.current.Load().Words(err))
}

// tunnelLimits bound what passes for a client that replicates.
func tunnelLimits(g *generation.Generation, named generation.PoolKey) tunnel.Limits {
	s := g.Config.PoolSettings(g.DatabaseName(named.Database), named.User)
	return tunnel.Limits{PacketMax: int(g.Config.Limits.MaxPacketSize), Stall: time.Duration(s.ClientStallTimeout)}
}

// replicationBeyond tells the log which limit a client for replication has met, or its server, and gives what the client is told. It is
// called on the loop.
func (p *Proxy) replicationBeyond(r *replication, b tunnel.Breach) []byte {
	most, length := b.Limits.PacketMax, b.Frame.Total()
	who := []any{"peer", r.peer, "user", r.key.User, "db", r.key.Database, "backend", r.backend.PID}
	var err *pgerror.Error
	switch b.Kind {
	case tunnel.ClientPacket:
		p.lines.Warn("client closed: it has sent what the operator does not let through", append(who, "type", b.Frame.Letter(), "length", length)...)
		err = pgerror.PacketTooLong(b.Frame.Type, length, most)
	case tunnel.ServerPacket:
		p.lines.Warn("client closed: a message of the server's is longer than max_packet_size",
			append(who, "type", b.Frame.Letter(), "length", length, "limit", most)...)
		err = pgerror.ResultTooLong(b.Frame.Type, length, most)
	case tunnel.ClientStall:
		p.lines.Warn("timeout: client disconnected",
			append(who, "setting", status.StalledClientTimeout.String(), "limit", b.Limits.Stall, "lasted", b.Lasted.Round(time.Millisecond))...)
		err = pgerror.ClientStallTimeout(b.Limits.Stall)
	}
	return p.farewell(err)
}

// dialReplication waits for a place, and for its turn to dial, and logs in to the server as the client wants it. On a
// goroutine of its own.
func (p *Proxy) dialReplication(r *replication, kind login.Replication, settings []session.Setting, hungUp func() bool) (*backend.Conn, *pgerror.Error) {
	g := p.current.Load()
	key := g.PoolOf(r.key.Database, r.key.User)
	wait := newPatience(p.admitting, time.Duration(g.Config.PoolSettings(key.Database, key.User).QueryWaitTimeout), hungUp)
	defer wait.end()
	if err := r.place.take(g.Claim(key), wait); err != nil {
		return nil, err
	}
	dialled, err := p.dials.turn(g, key, wait)
	if err != nil {
		return nil, err
	}
	defer dialled()
	conn, _, failure := p.dialer.Connect(p.admitting, key, func() hosts.Destination {
		t := p.targets.Of(key)
		t.Settings, t.Replication = settings, kind.Parameter()
		return t
	})
	switch {
	case p.closed():
		if conn != nil {
			_ = conn.Net.Close()
		}
		return nil, pgerror.ShuttingDown
	case failure != nil:
		p.lines.Warn("no backend for replication: dial failed", "peer", r.peer, "pool", key.String(), "error", failure.Err)
		if g.Config.PgBouncer {
			return nil, p.logReplicationRefused(key, failure)
		}
		return nil, failure.Client
	}
	return conn, nil
}

// ownPlace is the place of one connection for replication among those of the pools.
type ownPlace struct {
	places *places.Places
	taken  bool
	offer  chan struct{}
}

func newOwnPlace(p *places.Places) *ownPlace {
	return &ownPlace{places: p, offer: make(chan struct{}, 1)}
}

// Nudge implements places.Holder.
func (s *ownPlace) Nudge() {
	select {
	case s.offer <- struct{}{}:
	default:
	}
}

// Reclaim implements places.Holder.
func (*ownPlace) Reclaim(_ string, refused func()) { refused() }

// Yield implements places.Holder. It is not asked.
func (*ownPlace) Yield(string) {}

// Contest implements places.Holder.
func (*ownPlace) Contest(string) {}

// take waits for a place, for as long as a client waits for a backend, and as long as the client is there.
func (s *ownPlace) take(c places.Claim, wait *patience) *pgerror.Error {
	c.ForGood = true
	s.places.Enter(s, c)
	s.taken = true
	for !s.places.Take(s) {
		over, err := wait.until(s.offer)
		if err != nil {
			return err
		}
		if over {
			setting, value, section := s.places.Bound(s)
			return wait.inVain(generation.PoolKey{Database: c.Database, User: c.User}, setting, value, section)
		}
	}
	return nil
}

// leave gives the place up, if there is one.
func (s *ownPlace) leave() {
	if s.taken {
		s.places.Leave(s)
	}
}
