package proxy

import (
	"crypto/rand"
	"errors"
	"net"
	"time"

	"weir/config"
	"weir/proxy/cancelkey"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

var errDraining = errors.New("draining")

// acceptPause is how long accepting rests after the system could not give a descriptor. Connections wait in the backlog
// meanwhile; asking again at once would take the processor from those that could free one.
const acceptPause = 20 * time.Millisecond

// accept takes connections until the listener is closed.
func (p *Proxy) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			p.take(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			p.logins.warn(p.log, "accept failed; still listening", "error", err, "listen", l.Addr().String())
			time.Sleep(acceptPause)
		}
	}
}

// take begins a login on a goroutine of its own, if there is a place for it.
func (p *Proxy) take(nc net.Conn) {
	entry, ok := p.logins.enter(nc)
	if !ok {
		p.logins.warn(p.log, "connection closed: too many logins under way", "peer", peerOf(nc), "max_logins", p.config.Limits.MaxLogins)
		_ = nc.Close()
		return
	}
	p.tasks.Go(func() { p.serve(nc, entry) })
}

// serve logs a connection in and hands it over.
func (p *Proxy) serve(nc net.Conn, entry *entrant) {
	result, err := login.Serve(p.ctx, entry, p.login)
	if failure, ok := errors.AsType[*login.Failure](err); ok {
		p.loginFailed(nc, entry, failure)
		return
	}
	if result.Cancel != nil {
		p.logins.leave(entry, outcomeCancel)
		p.cancel(result.Conn, result.Cancel)
		return
	}
	p.welcome(nc, entry, result)
}

func (p *Proxy) loginFailed(nc net.Conn, entry *entrant, failure *login.Failure) {
	if failure.Admitted {
		p.census.leave(failure.User, failure.Database)
	}
	p.logins.fail(entry, failure.Reason.String())
	if failure.Reason != login.Gone && failure.Reason != login.ShutDown {
		p.logins.warn(p.log, "login failed", "peer", peerOf(nc), "user", failure.User, "db", failure.Database,
			"reason", failure.Reason.String(), "error", failure)
	}
	closeKindly(nc)
}

// closeKindly closes a connection that was just told something. Bytes of the peer's that nobody has read would make the system
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

// welcome hands a logged-in client to its pool's loop.
func (p *Proxy) welcome(nc net.Conn, entry *entrant, result login.Result) {
	leave := func() { p.census.leave(result.User, result.Database) }
	settings := make([]session.Setting, len(result.Settings))
	for i, s := range result.Settings {
		settings[i] = session.Setting{Name: s.Name, Value: s.Value}
	}
	set, err := p.env.Settings.Intern(settings)
	if err != nil {
		leave()
		p.logins.fail(entry, login.BadSetting.String())
		p.refuse(result.Conn, invalidSetting(err))
		return
	}
	lane, limits := p.router.lane(result.Database, result.User)
	peer := peerOf(nc)
	fd, err := socket.Detach(nc)
	if err != nil {
		leave()
		p.env.Settings.Release(set)
		p.logins.fail(entry, "internal")
		p.log.Error("client not taken over", "peer", peer, "error", err)
		return
	}
	p.logins.leave(entry, outcomeClient)
	p.trimmer.loggedIn()
	lane.Admit(relay.Admission{
		FD: fd, TLS: result.TLS, Settings: set, Peer: peer, Limits: limits, Secret: cancelkey.NewSecret(rand.Reader), OnGone: leave,
	})
}

func invalidSetting(err error) *pgerror.Error {
	bad, ok := errors.AsType[*session.SettingError](err)
	if !ok {
		return pgerror.InvalidSetting("?", pgerror.CodeInvalidValue, err.Error())
	}
	return pgerror.InvalidSetting(bad.Name, bad.Code, bad.Problem)
}

func (p *Proxy) refuse(nc net.Conn, err *pgerror.Error) {
	_ = nc.SetWriteDeadline(time.Now().Add(lingerTime))
	_, _ = nc.Write(wire.AppendErrorResponse(nil, err))
	closeKindly(nc)
}

// cancel routes a cancel request to the loop that its key names, and closes the connection when that has dealt with it, as
// PostgreSQL does: the client may take the close as the sign that the request has been delivered.
func (p *Proxy) cancel(nc net.Conn, request *login.Cancel) {
	defer func() { _ = nc.Close() }()
	loop, slot, ok := cancelkey.Unpack(request.PID)
	if !ok || loop >= len(p.engines) {
		return
	}
	done := make(chan struct{})
	p.engines[loop].Cancel(slot, request.Secret, func() { close(done) })
	select {
	case <-done:
	case <-p.ctx.Done():
	}
}

// loginOptions is how clients log in under this configuration.
func (p *Proxy) loginOptions() login.Options {
	c := p.config
	method := map[config.AuthType]login.Method{
		config.AuthTrust: login.MethodTrust, config.AuthPassword: login.MethodPassword,
		config.AuthMD5: login.MethodMD5, config.AuthSCRAM: login.MethodSCRAM,
	}[c.Auth.Type]
	return login.Options{
		Timeout:   time.Duration(c.Timeouts.ClientLoginTimeout),
		Method:    method,
		Verifiers: login.NewVerifiers(mockKey()),
		Lookup: func(user string) (string, bool) {
			u, ok := c.Users[user]
			return u.Password.Reveal(), ok && u.Password.IsSet()
		},
		TLS:      p.clientTLS,
		CertName: c.Auth.CertName,
		KnownDatabase: func(database string) bool {
			_, ok := c.Database(database)
			return ok
		},
		Admit: func(user, database string) *pgerror.Error { return p.census.admit(user, database) },
	}
}

// peerOf names the other end for logs. Clients on a unix socket have no address of their own.
func peerOf(nc net.Conn) string {
	if nc.RemoteAddr().Network() == "unix" {
		return "unix"
	}
	return nc.RemoteAddr().String()
}

// mockKey makes what unknown users are shown the same for as long as the process lives, and nobody else's guess.
func mockKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}
