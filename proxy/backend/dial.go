// Package backend connects to PostgreSQL, logs in, and returns a connection at rest between two messages. It also sends cancel
// requests, and asks a server questions of weir's own.
//
// It is ordinary blocking code for a goroutine per dial, and knows neither loops nor pools. Steps of a login, a file each:
// dial.go (which attempts), attempt.go (connect, encrypt), login.go (startup, parameters, key), auth.go (passwords),
// messages.go (what the server sends). It may import wire, socket, certs, scram, config and session (for the name and
// value of a setting).
package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"weir/proxy/certs"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// Target is where a pool's backends are found, and as whom they log in.
type Target struct {
	Host            string // a name, an address, or the folder of a unix socket
	Port            int
	IP              string // one of the addresses that Host stands for; empty: the dial looks it up
	Apart           bool   // it is spoken of for itself, not as Host
	Database, User  string
	Password        string              // in clear; "" where the server asks for none, or where there are
	Substitutes     Substitutes         // in place of it
	TLS             *certs.Server       // nil: never
	ServerName      string              // that the server's certificate must have; "": Host
	Protocol32      bool                // ask for protocol 3.2 rather than 3.0
	ApplicationName string              // "" for none; what a backend is called while no client has named it
	Settings        []session.Setting   // further startup parameters
	Replication     string              // the startup parameter of that name; "" for an ordinary connection
	ConnectTimeout  time.Duration       // for connecting and logging in together; 0 = none
	ConnectWithin   time.Duration       // for connecting alone, if that is less; 0 = none of its own
	TCP             socket.TCPOptions   // for connections over TCP
	Notify          func(ServerMessage) // is told the notices of a login, on the login's goroutine; nil: they are dropped
}

// String names the target as in messages, shop at 10.0.0.5:5432, and keeps the
// password out of logs.
func (t Target) String() string { return t.Database + " at " + t.Address() }

// network is what net.Dial calls it. A host that begins with a slash is the
// folder of a unix socket, with @ one of Linux's abstract name space, as in libpq.
func (t Target) network() string {
	if strings.HasPrefix(t.Host, "/") || strings.HasPrefix(t.Host, "@") {
		return "unix"
	}
	return "tcp"
}

// Address is the server's address for messages.
func (t Target) Address() string {
	if t.network() == "unix" {
		return filepath.Join(t.Host, ".s.PGSQL."+strconv.Itoa(t.Port))
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
}

// Place is Address with the address that was meant, where those of a name are spoken of for themselves.
func (t Target) Place() string {
	if t.Apart {
		return t.Exactly()
	}
	return t.Address()
}

// Exactly is Address with the address that was meant, if Host is a name.
func (t Target) Exactly() string {
	if t.IP != "" && t.IP != t.Host {
		return t.Address() + " (" + t.IP + ")"
	}
	return t.Address()
}

// dialAddress is the address for net.Dial.
func (t Target) dialAddress() string {
	if t.IP != "" {
		return net.JoinHostPort(t.IP, strconv.Itoa(t.Port))
	}
	return t.Address()
}

// ways are those to encrypt the connection, in the order in which they are
// tried; nil is one without TLS. Unix sockets are never encrypted, as in libpq.
func (t Target) ways() []*tls.Config {
	if t.TLS == nil || t.network() == "unix" {
		return []*tls.Config{nil}
	}
	return t.TLS.Attempts(t.serverName())
}

func (t Target) serverName() string {
	if t.ServerName != "" {
		return t.ServerName
	}
	return t.Host
}

// minor is the newest version of protocol 3 that the server is asked for.
func (t Target) minor() uint16 {
	if t.Protocol32 {
		return wire.MaxMinor
	}
	return 0
}

// Conn is a backend that has logged in, outside a transaction. It was read up to the ReadyForQuery of its login and not one
// byte further: the rest is still in Net, or in TLS.
type Conn struct {
	Net        net.Conn          // *net.TCPConn or *net.UnixConn, without a deadline
	TLS        *socket.Adapter   // what is on top of Net; nil: plain text
	PID        uint32            // of the server's process; with Secret its cancel key
	Secret     []byte            // 4 bytes; with protocol 3.2 up to 256
	Params     []session.Setting // as ParameterStatus reported them, sorted by name
	RemoteAddr net.Addr

	// Target is what was dialled, its host replaced by the address that answered,
	// and without what logged in. A name may stand for several servers, and a
	// cancel request must reach the one that runs this backend.
	Target Target
}

// stream is what to talk on while the connection blocks still.
func (c *Conn) stream() net.Conn {
	if c.TLS != nil {
		return c.TLS.TLS()
	}
	return c.Net
}

// Dial connects and logs in, within ctx and ConnectTimeout. Errors are
// *DialError. libpq's environment and files have no say.
func Dial(ctx context.Context, t Target) (*Conn, error) {
	ctx, stop := Within(ctx, t.ConnectTimeout)
	defer stop()
	conn, err := t.login(ctx)
	if err != nil {
		return nil, t.fail(err)
	}
	return conn, nil
}

// Within is context.WithTimeout, where 0 is no limit.
func Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// login tries one way after the other. It returns the error of the last one that it tried.
func (t Target) login(ctx context.Context) (*Conn, error) {
	var spare net.Conn // on which the server has declined TLS, and which can go on without
	defer func() {
		if spare != nil {
			_ = spare.Close()
		}
	}()
	minor := t.minor()
	var err error
	ways := t.ways()
	for len(ways) > 0 {
		a := attempt{target: t, encryption: ways[0], minor: minor, nc: spare}
		spare = nil
		var conn *Conn
		if conn, err = a.run(ctx); err == nil {
			return conn, nil
		}
		if errors.Is(err, errDeclined) {
			spare = a.nc
		}
		switch {
		case ctx.Err() != nil || a.nc == nil:
			return nil, err
		case minor > 0 && a.refusesVersion(err):
			minor = 0 // the same way again, on a new connection
		case worthAnother(err):
			ways = ways[1:]
		default:
			return nil, err
		}
	}
	return nil, err
}

// worthAnother tells whether a failed login may have failed for its encryption, or
// for want of it. What the server says of passwords, databases and its own state it
// would say again, and one that breaks the rules of the login gets no second try.
func worthAnother(err error) bool {
	if _, ok := errors.AsType[*CredentialError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*loginError](err); ok {
		return false
	}
	server, ok := errors.AsType[*ServerMessage](err)
	if !ok {
		return true // it wants no TLS, or has no certificate or version that would do
	}
	// pg_hba.conf has no line for such a connection (28000), or a pooler refuses it (08P01).
	return server.Code == "28000" || server.Code == "08P01"
}
