package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"weir/proxy/socket"
	"weir/proxy/wire"
)

// attempt is one try to log in, over one connection.
type attempt struct {
	target     Target
	encryption *tls.Config // nil: none
	minor      uint16      // of the protocol to ask for

	nc      net.Conn        // once connected; before run a connection to use instead of another, or nil
	adapter *socket.Adapter // between nc and TLS
	login   *login          // once begun
}

// run connects, encrypts and logs in. If it fails, nc is closed, save where the error is errDeclined and the caller may go on
// with it.
func (a *attempt) run(ctx context.Context) (*Conn, error) {
	if a.nc == nil {
		nc, err := a.target.dial(ctx)
		if err != nil {
			return nil, whyEnded(ctx, err)
		}
		a.nc = nc
	}
	stop := endWith(ctx, a.nc)
	err := a.talk()
	if !stop() { // ctx has ended, and its deadline may be set at any moment
		err = ctx.Err()
	}
	if err == nil {
		return a.conn(), nil
	}
	if !errors.Is(err, errDeclined) {
		_ = a.nc.Close()
	}
	return nil, err
}

// endWith makes calls that block on nc fail as soon as ctx ends. The function that it returns undoes that, and returns false if it is too
// late.
func endWith(ctx context.Context, nc net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
}

// whyEnded prefers the context's reason to the deadline that it has set.
func whyEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// dial connects. A name with several addresses is net.Dialer's business, which
// tries them side by side and shares the time among them.
func (t Target) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1} // that is told the kernel in prepare
	if t.network() == "tcp" {
		t.prepare(&dialer)
	}
	connecting, cancel := Within(ctx, t.ConnectWithin)
	defer cancel()
	nc, err := dialer.DialContext(connecting, t.network(), t.dialAddress())
	if err != nil && connecting.Err() != nil && ctx.Err() == nil {
		return nil, silenceError(t.ConnectWithin)
	}
	return nc, err
}

// silenceError is that an address has not accepted a connection within that time.
type silenceError time.Duration

func (e silenceError) Error() string { return "no answer within " + time.Duration(e).String() }

// Is makes it a timeout.
func (e silenceError) Is(err error) bool { return err == context.DeadlineExceeded }

// talk does all that comes after the connection.
func (a *attempt) talk() error {
	var stream net.Conn = a.nc
	var certificate *x509.Certificate
	if a.encryption != nil {
		a.adapter = socket.NewAdapter(a.nc)
		top := a.adapter.Client(a.encryption)
		if err := encrypt(a.nc, top); err != nil {
			return err
		}
		if shown := top.ConnectionState().PeerCertificates; len(shown) > 0 {
			certificate = shown[0]
		}
		stream = top
	}
	a.login = newLogin(&a.target, stream, a.minor, certificate)
	return a.login.run()
}

// refusesVersion tells whether the server has said no to the version of the protocol before it said anything else. Those that
// know of no versions at all do that: PostgreSQL with "unsupported frontend protocol" (0A000), poolers with 08P01.
func (a *attempt) refusesVersion(err error) bool {
	server, ok := errors.AsType[*ServerMessage](err)
	return ok && a.login != nil && a.login.seen == 1 && (server.Code == "0A000" || server.Code == "08P01")
}

// conn is what the attempt has led to.
func (a *attempt) conn() *Conn {
	l := a.login
	c := &Conn{
		Net: a.nc, TLS: a.adapter, PID: l.pid, Secret: l.secret, Params: l.params(), RemoteAddr: a.nc.RemoteAddr(), Target: a.target,
	}
	c.Target.Password, c.Target.Substitutes, c.Target.Notify = "", Substitutes{}, nil // a cancel request needs none of these
	if tcp, ok := c.RemoteAddr.(*net.TCPAddr); ok {
		c.Target.ServerName = a.target.serverName()
		c.Target.Host = tcp.AddrPort().Addr().Unmap().String()
	}
	return c
}

// errDeclined is a server that has said that it has no TLS, and nothing else. The connection is open still.
var errDeclined = errors.New("the server offers no TLS, and sslmode in [server_tls] demands it")

// encrypt asks the server on nc for TLS, and does the handshake of top, which is on nc. It reads one byte in clear text: what
// a machine in between has put in after that is no TLS, and ends the handshake.
func encrypt(nc net.Conn, top *tls.Conn) error {
	if _, err := nc.Write(wire.AppendSSLRequest(nil)); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil {
		return err
	}
	switch answer[0] {
	case 'S':
		return top.Handshake()
	case 'N':
		return errDeclined
	case wire.ServerErrorResponse:
		// A machine in between could have sent its text, so it is not shown, as in libpq.
		return errors.New("the server answers a request for TLS with an error")
	}
	return fmt.Errorf("the server answers %q to a request for TLS", answer[0])
}
