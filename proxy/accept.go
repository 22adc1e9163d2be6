package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/logins"
	"weir/proxy/pgerror"
	"weir/proxy/prelogin"
	"weir/proxy/relay"
	"weir/proxy/replication"
	"weir/proxy/router"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// acceptHandler serves connections until they are clients.
type acceptHandler struct{ *Proxy }

// arrival is a connection on its way to becoming a client, as logins sees it.
type arrival struct{ *prelogin.Conn }

// Cancels reports whether the connection, which has just come, brings a cancel request. One whose bytes come later is like any other.
func (a arrival) Cancels() bool {
	var head [8]byte
	return wire.BeginsCancelRequest(head[:a.Peek(head[:])])
}

// Arrive finds a place for a connection, if there is one.
func (r acceptHandler) Arrive(c *prelogin.Conn) bool {
	g := r.current.Load()
	entry, ok := r.logins.Enter(arrival{c}, !g.Descriptors.ForClient(c.Descriptor()))
	if !ok {
		r.lines.Warn("connection closed: too many logins under way", "peer", peerOf(c), "max_logins", g.Descriptors.Logins(g.Config))
		return false
	}
	if limit := g.Login.Timeout; limit > 0 {
		_ = c.SetDeadline(entry.Arrived.Add(limit))
	}
	r.tasks.Add(1)
	c.Entry = entry
	return true
}

// Answered is told of each step of a login.
func (r acceptHandler) Answered(c *prelogin.Conn) { r.logins.Progressed(entryOf(c)) }

// AcceptFailed tells the log.
func (r acceptHandler) AcceptFailed(err error) {
	r.lines.Warn("accept failed; still listening", "error", err)
}

// Serve logs a connection in and hands it over.
func (r acceptHandler) Serve(c *prelogin.Conn) {
	done := sync.OnceFunc(r.tasks.Done)
	defer done()
	entry := entryOf(c)
	r.logins.Spoke(entry)
	ctx, options := r.loginTerms(entry)
	result, err := login.Serve(ctx, c, entry.Arrived, options)
	if failure, ok := errors.AsType[*login.Failure](err); ok {
		r.loginFailed(c, failure)
		return
	}
	if result.Cancel != nil {
		r.logins.Cancelled(entry)
		c.Apart(func() { r.cancel(c, result.Cancel) })
		_ = c.Close()
		return
	}
	if result.Account.Known { // it has proved to be that user
		r.accounts.BecameFamiliar(result.User, result.From)
	}
	if result.Console {
		r.logins.Succeeded(entry)
		done() // a drain does not wait for it
		r.consoles.serve(c, result)
		return
	}
	r.handOver(c, result)
}

// entryOf is a connection among the logins under way.
func entryOf(c *prelogin.Conn) *logins.Login { return c.Entry.(*logins.Login) }

// loginOptions is how clients log in under a generation.
func (p *Proxy) loginOptions(g *generation.Generation) login.Options {
	c, o := g.Config, g.LoginOptions()
	if c.PgBouncer {
		o.Refusing, o.Attempting = p.logRefusal, p.logAttempt
	}
	o.Lookup = p.accounts.LookUp
	o.Admit = func(user, database string) *pgerror.Error {
		if d, ok := c.Database(database); ok && d.User == "" && c.Auth.Type == config.AuthAny {
			return pgerror.NoUserOfItsOwn(database)
		}
		if err := p.router.TurnsAway(database); err != nil {
			return err
		}
		return p.clients.Admit(user, database)
	}
	o.AdmitConsole = func(user string, own bool) *pgerror.Error { return p.consoles.admit(c, user, own) }
	return o
}

// loginTerms are the context and the options of one login: the generation's own, unless weir stops, or the login is beyond the descriptors
// that clients may have.
func (p *Proxy) loginTerms(entry *logins.Login) (context.Context, *login.Options) {
	g, closed := p.current.Load(), p.closed()
	if !closed && !entry.Beyond {
		return p.admitting, &g.Login
	}
	ctx, own := p.admitting, g.Login
	if closed {
		ctx, own.Closed = p.ctx, true
	}
	if entry.Beyond {
		own.Admit = func(string, string) *pgerror.Error { return pgerror.TooFewDescriptors(g.Descriptors.Limit) }
	}
	return ctx, &own
}

// warnOfLogin tells of a login that has failed, and why.
func (p *Proxy) warnOfLogin(nc net.Conn, failure *login.Failure, why string) {
	attributes := []any{"peer", peerOf(nc), "user", failure.User, "db", failure.Database, "reason", failure.Reason.String()}
	if why != "" {
		attributes = append(attributes, "error", why)
	}
	if failure.Rule != nil {
		attributes = append(attributes, "rule", failure.Rule.String())
	}
	p.lines.Warn("login failed", attributes...)
}

func (p *Proxy) loginFailed(c *prelogin.Conn, failure *login.Failure) {
	if failure.Admitted && failure.Console {
		p.consoles.release(failure.User, failure.Own)
	} else if failure.Admitted {
		p.clients.Leave(failure.User, failure.Database)
	}
	p.logins.Failed(entryOf(c), failure.Reason.String())
	told := p.current.Load().Config.PgBouncer && failure.Err != nil // see logRefusal
	if !told && failure.Reason != login.Gone && failure.Reason != login.ShutDown {
		p.warnOfLogin(c, failure, failure.Error())
	}
	closeKindly(c)
}

// closeKindly closes a connection that was just told something. Bytes of the peer's that are still unread would make the system
// reset the connection and take the message back, so what is there is read first.
func closeKindly(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = nc.SetReadDeadline(time.Now().Add(lingerTime))
		var waste [4096]byte
		for range lingerReads {
			if _, err := nc.Read(waste[:]); err != nil {
				break
			}
		}
	}
	_ = nc.Close()
}

const (
	lingerTime  = 250 * time.Millisecond
	lingerReads = 64
)

// handOver hands a logged-in client to its pool's loop, or turns it away.
func (p *Proxy) handOver(c *prelogin.Conn, result login.Result) {
	if result.Replication != login.NoReplication {
		p.replicate(c, result)
		return
	}
	set, err := p.admissible(startupSettings(result))
	if err != nil {
		p.turnAway(c, result, login.BadSetting, invalidSetting(err))
		return
	}
	if !p.stays(c, &result) {
		p.env.Settings.Release(set)
		p.turnAway(c, result, login.Gone, nil)
		return
	}
	renewed := p.accounts.Learn(result)
	lane, limits, m := p.router.Join(result.Database, result.User, c.Suited())
	if lane == nil { // a reload has taken the database away since the login
		p.env.Settings.Release(set)
		p.turnAway(c, result, login.UnknownDatabase, pgerror.UnknownDatabase(result.Database))
		return
	}
	p.logins.Succeeded(entryOf(c))
	p.trimmer.leaves(1)
	identity := p.clients.Identity(result.User, result.Database)
	fd, token, ahead := c.Leave(lane.Loop())
	lane.Admit(relay.Admission{
		FD: fd, TLS: result.TLS, Here: lane.Loop() == c.Loop(), Token: token, Owed: result.Owed, Ahead: ahead,
		Renewed: renewed, Settings: set, Peer: peerOf(c), Limits: limits, Login: identity, Secret: p.env.Keys.NewSecret(rand.Reader), LongKey: longKey(result, p.current.Load()),
		Kills: m.Kills, OnGone: p.onGone(c.Seat(), m, identity),
	})
}

// startupSettings are those that a client has asked for in its startup packet.
func startupSettings(result login.Result) []session.Setting {
	settings := make([]session.Setting, len(result.Settings))
	for i, s := range result.Settings {
		settings[i] = session.Setting{Name: s.Name, Value: s.Value}
	}
	return settings
}

// turnAway ends a client whose login has succeeded and which cannot be served. It is told err; nil: it has gone by itself.
func (p *Proxy) turnAway(c *prelogin.Conn, result login.Result, why login.Reason, err *pgerror.Error) {
	p.clients.Leave(result.User, result.Database)
	p.logins.Failed(entryOf(c), why.String())
	if err == nil {
		_ = c.Close()
		return
	}
	p.refuse(result, err)
}

// replicate serves a client that asks for replication, past the pools.
func (p *Proxy) replicate(c *prelogin.Conn, result login.Result) {
	p.logins.Succeeded(entryOf(c))
	g := p.current.Load()
	if p.accounts.Learn(result) {
		p.router.Pardon(g.PoolOf(result.Database, result.User))
	}
	leave := func() { p.clients.Leave(result.User, result.Database) }
	trouble := p.replications.Serve(p.admitting, replication.Client{
		Conn: c, Login: result, Settings: startupSettings(result), Peer: peerOf(c), LongKey: longKey(result, g), Leave: leave,
	})
	if trouble != nil {
		leave()
		p.refuse(result, trouble)
	}
}

// onGone is what is to be done when a client is gone. It is all that is kept for as long as the client is there, of what its login has allocated:
// one object, which those of a user's clients share that are of one origin.
func (p *Proxy) onGone(seat prelogin.Seat, m router.Member, who *relay.Identity) func() {
	clients, user, database := p.clients, who.User, who.Database
	return m.Departure(seat, database, func() {
		seat.Leave()
		m.Leave()
		clients.Leave(user, database)
	})
}

// admissible is the set of the settings that a client has asked for at its login.
func (p *Proxy) admissible(settings []session.Setting) (*session.Set, error) {
	if err := session.CheckLogin(settings); err != nil {
		return nil, err
	}
	return p.env.Settings.Intern(settings)
}

func invalidSetting(err error) *pgerror.Error {
	bad, ok := errors.AsType[*session.SettingError](err)
	if !ok {
		return pgerror.InvalidSetting("?", pgerror.CodeInvalidValue, err.Error())
	}
	return pgerror.InvalidSetting(bad.Name, bad.Code, bad.Problem)
}

// refuse tells a client that has logged in already why it cannot stay.
func (p *Proxy) refuse(result login.Result, err *pgerror.Error) {
	g := p.current.Load()
	err = g.Words(err)
	if g.Config.PgBouncer {
		p.sayOfClient("closing because", "closing because: "+err.Message+" (age=0s)", result.Conn, result.User, result.Database)
	}
	_ = result.Conn.SetWriteDeadline(time.Now().Add(lingerTime))
	_, _ = result.Conn.Write(wire.AppendErrorResponse(result.Owed, err))
	closeKindly(result.Conn)
}

// peerOf names the other end for logs. Clients on a unix socket have no address of their own.
func peerOf(nc net.Conn) string {
	switch a := nc.RemoteAddr().(type) {
	case *net.UnixAddr:
		return "unix"
	case *net.TCPAddr:
		addr := a.AddrPort()
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String()
	default:
		return a.String()
	}
}
