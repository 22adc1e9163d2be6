package replication

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/hosts"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/prelogin"
	"weir/proxy/relay"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/status"
	"weir/proxy/tunnel"
)

// Client is one that has logged in and asks for replication.
type Client struct {
	Conn     *prelogin.Conn
	Login    login.Result
	Settings []session.Setting // its startup parameters
	Peer     string            // its address, for the log
	LongKey  bool              // its cancel key has the length that PostgreSQL 18's have
	Leave    func()            // called once the client is gone, if it was served
}

// Serve gives a client a backend of its own, which is dialled with the client's startup parameters, outside of the pools and within the
// limits over them, and which ends with it. The client is handed over when Serve returns, or it is closed. If there is no backend for it
// Serve returns why, and the client is still the caller's. The end of ctx ends the wait for a backend. It is called in the code of the
// connection.
func (s *Connections) Serve(ctx context.Context, c Client) *pgerror.Error {
	r := &connection{
		secret: s.parts.Keys.NewSecret(rand.Reader), longKey: c.LongKey, peer: c.Peer,
		key: generation.PoolKey{Database: c.Login.Database, User: c.Login.User}, kind: c.Login.Replication,
		number: s.parts.Number(), began: time.Now(), place: newOwnPlace(s.parts.Places),
	}
	s.begin(r)
	var conn *backend.Conn
	var trouble *pgerror.Error
	c.Conn.Apart(func() { conn, trouble = s.dial(ctx, r, c.Settings, c.Conn.HungUp) })
	fd := -1
	if trouble == nil {
		var err error
		if fd, err = socket.Detach(conn.Net); err != nil {
			trouble = pgerror.Unreachable(conn.Target.Address(), err.Error())
		}
	}
	if trouble != nil {
		s.giveUp(r)
		r.place.leave()
		return trouble
	}
	r.backend = conn
	s.connect(r, fd, c)
	return nil
}

// connect has the loop pass bytes between a client and its backend, whose descriptor is fd.
func (s *Connections) connect(r *connection, fd int, c Client) {
	greeting := s.enter(r, c.Login.Owed)
	loop, seat := c.Conn.Loop(), c.Conn.Seat()
	clientFD, token, ahead := c.Conn.Leave(loop)
	gone := func() {
		seat.Leave()
		s.leave(r)
		r.place.leave()
		c.Leave()
		s.parts.Lines.Log(slog.LevelInfo, "replication connection closed", "peer", r.peer, "user", r.key.User, "db", r.key.Database, "backend", r.backend.PID)
	}
	t, err := tunnel.Open(loop, tunnel.Config{
		Client:   tunnel.Side{FD: clientFD, TLS: c.Login.TLS, Token: token, Here: true},
		Backend:  tunnel.Side{FD: fd, TLS: r.backend.TLS},
		Greeting: greeting, Ahead: ahead, Limits: limits(s.parts.Current.Load(), r.key),
		OnBeyond: func(b tunnel.Breach) []byte { return s.beyond(r, b) },
		OnGone:   gone,
	})
	if err != nil {
		s.parts.Log.Error("client not taken over", "error", err, "peer", r.peer)
		gone()
		return
	}
	s.opened(r, t)
	t.SetLimits(limits(s.parts.Current.Load(), r.key)) // a reload may have come meanwhile
	s.parts.Lines.Log(slog.LevelInfo, "replication connection opened", "peer", r.peer, "user", r.key.User, "db", r.key.Database,
		"replication", r.kind.Parameter(), "backend", r.backend.PID)
}

// limits bound what passes for a client.
func limits(g *generation.Generation, named generation.PoolKey) tunnel.Limits {
	s := g.Config.PoolSettings(g.DatabaseName(named.Database), named.User)
	return tunnel.Limits{PacketMax: int(g.Config.Limits.MaxPacketSize), Stall: time.Duration(s.ClientStallTimeout)}
}

// beyond tells the log which limit a client has met, or its server, and gives what the client is told. It is called on the loop.
func (s *Connections) beyond(r *connection, b tunnel.Breach) []byte {
	most, length := b.Limits.PacketMax, b.Frame.Total()
	who := []any{"peer", r.peer, "user", r.key.User, "db", r.key.Database, "backend", r.backend.PID}
	var err *pgerror.Error
	switch b.Kind {
	case tunnel.ClientPacket:
		s.parts.Lines.Warn("client closed: it has sent what the operator does not let through", append(who, "type", b.Frame.Letter(), "length", length)...)
		err = pgerror.PacketTooLong(b.Frame.Type, length, most)
	case tunnel.ServerPacket:
		s.parts.Lines.Warn("client closed: a message of the server's is longer than max_packet_size",
			append(who, "type", b.Frame.Letter(), "length", length, "limit", most)...)
		err = pgerror.ResultTooLong(b.Frame.Type, length, most)
	case tunnel.ClientStall:
		s.parts.Lines.Warn("timeout: client disconnected",
			append(who, "setting", status.StalledClientTimeout.String(), "limit", b.Limits.Stall, "lasted", b.Lasted.Round(time.Millisecond))...)
		err = pgerror.ClientStallTimeout(b.Limits.Stall)
	}
	return s.farewell(err)
}

// dial waits for a place, and for its turn to dial, and logs in to the server as the client wants it. On a goroutine of its own.
func (s *Connections) dial(ctx context.Context, r *connection, settings []session.Setting, hungUp func() bool) (*backend.Conn, *pgerror.Error) {
	g := s.parts.Current.Load()
	key := g.PoolOf(r.key.Database, r.key.User)
	wait := newPatience(ctx, time.Duration(g.Config.PoolSettings(key.Database, key.User).QueryWaitTimeout), hungUp)
	defer wait.end()
	if err := r.place.take(g.Claim(key), wait); err != nil {
		return nil, err
	}
	dialled, err := s.dials.turn(g, key, wait)
	if err != nil {
		return nil, err
	}
	defer dialled()
	conn, _, failure := s.parts.Dialer.Connect(ctx, key, func() hosts.Destination {
		t := s.parts.Targets.Of(key)
		t.Settings, t.Replication = settings, r.kind.Parameter()
		return t
	})
	switch {
	case ctx.Err() != nil:
		if conn != nil {
			_ = conn.Net.Close()
		}
		return nil, pgerror.ShuttingDown
	case failure != nil:
		s.parts.Lines.Warn("no backend for replication: dial failed", "peer", r.peer, "pool", key.String(), "error", failure.Err)
		if g.Config.PgBouncer {
			return nil, s.refused(key, failure)
		}
		return nil, failure.Client
	}
	return conn, nil
}

// refused tells the log in PgBouncer's words that a server does not let a client in, and gives what that client is told.
func (s *Connections) refused(key generation.PoolKey, failure *relay.DialError) *pgerror.Error {
	s.parts.Lines.Say("replication refused", "closing because: login failed (age=0s)", "server", failure.Addr, "db", key.Database, "user", key.User)
	return failure.Client.AsPgBouncer("login failed")
}
