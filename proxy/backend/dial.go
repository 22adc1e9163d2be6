// Package backend connects to PostgreSQL and logs in, and hands over what is
// then a connection at rest between two messages; and it sends cancel requests.
//
// It is ordinary blocking code for a goroutine per dial, and knows neither loops
// nor pools. The login itself is pgconn's, save that where weir knows
// no password but something else to log in with, authConn answers the server. It may
// import wire, socket, certs, scram, pgerror, cancelkey, config and session (for the
// name and value of a setting), and pgconn from outside.
package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/proxy/certs"
	"weir/proxy/session"
	"weir/proxy/socket"
)

// Target is where a pool's backends are found, and as whom they log in.
type Target struct {
	Host            string // a name, an address, or the folder of a unix socket
	Port            int
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
	KeepAlive       net.KeepAliveConfig // of TCP; the zero value stands for defaultKeepAlive
}

// defaultKeepAlive finds a server that has vanished without a word within a
// minute; Linux's own default takes two hours (tcp_keepalive_time).
var defaultKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

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

// Address is the server's address for messages and for net.Dial.
func (t Target) Address() string {
	if t.network() == "unix" {
		return filepath.Join(t.Host, ".s.PGSQL."+strconv.Itoa(t.Port))
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
}

// loginMessageMax bounds a message of the login, in bytes. Real ones have some
// hundred; what is no PostgreSQL at all may announce a gigabyte (HTTP/1.1 reads
// as a message of 1.4 GB), and pgconn would make room for it.
const loginMessageMax = 256 << 10

// dial connects. A name with several addresses is net.Dialer's business, which
// tries them side by side and shares the time among them.
func (t Target) dial(ctx context.Context) (net.Conn, error) {
	keepAlive := t.KeepAlive
	if keepAlive == (net.KeepAliveConfig{}) {
		keepAlive = defaultKeepAlive
	}
	dialer := net.Dialer{KeepAliveConfig: keepAlive} // TCP_NODELAY is Go's default
	return dialer.DialContext(ctx, t.network(), t.Address())
}

// attempts are the ways to encrypt the connection, in the order in which they are
// tried; nil is one without TLS. Unix sockets are never encrypted, as in libpq.
func (t Target) attempts() []*tls.Config {
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

// Conn is a backend that has logged in, outside a transaction. Nothing that the
// server has sent since is lost: Net has it still, or TLS.
type Conn struct {
	Net           net.Conn          // *net.TCPConn or *net.UnixConn, without a deadline
	TLS           *socket.Adapter   // what is on top of Net; nil: plain text
	PID           uint32            // of the server's process; with Secret its cancel key
	Secret        []byte            // 4 bytes; with protocol 3.2 up to 256
	Params        []session.Setting // as ParameterStatus reported them, sorted by name
	TxStatus      byte              // 'I'
	Said          []byte            // messages that came behind the login and were read already; a connection for replication only
	ServerVersion int               // as server_version_num: 150020; 0 if it could not be read
	RemoteAddr    net.Addr

	// Target is what was dialled, its host replaced by the address that answered,
	// and without what logged in. A name may stand for several servers, and a
	// cancel request must reach the one that runs this backend.
	Target Target
}

// Dial connects and logs in, within ctx and ConnectTimeout. Errors are
// *DialError. libpq's environment and files have no say.
func Dial(ctx context.Context, t Target) (*Conn, error) { return t.login(ctx, t.dial) }

func (t Target) login(ctx context.Context, dial func(context.Context) (net.Conn, error)) (*Conn, error) {
	ctx, stop := t.bounded(ctx)
	defer stop()
	pg, l, err := t.reach(ctx, dial)
	if err != nil {
		return nil, t.fail(err)
	}
	conn, err := t.takeOver(ctx, pg, l)
	if err != nil {
		return nil, t.fail(err)
	}
	return conn, nil
}

// Connect connects and logs in as Dial does, and gives pgconn's own connection, for
// those who want to ask the server something themselves. The caller closes it. Errors
// are *DialError.
func Connect(ctx context.Context, t Target) (*pgconn.PgConn, error) {
	ctx, stop := t.bounded(ctx)
	defer stop()
	pg, _, err := t.reach(ctx, t.dial)
	if err != nil {
		return nil, t.fail(err)
	}
	return pg, nil
}

// bounded is ctx within ConnectTimeout.
func (t Target) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.ConnectTimeout > 0 {
		return context.WithTimeout(ctx, t.ConnectTimeout)
	}
	return ctx, func() {}
}

// reach tries one link after the other.
func (t Target) reach(ctx context.Context, dial func(context.Context) (net.Conn, error)) (*pgconn.PgConn, *link, error) {
	var err error
	var spare net.Conn // on which the server has declined TLS; it can go on without
	for _, encryption := range t.attempts() {
		l := &link{dial: dial, encryption: encryption, spare: spare}
		var pg *pgconn.PgConn
		if pg, err = t.connect(ctx, l); err == nil {
			return pg, l, nil
		}
		spare = l.declined()
		if !l.worthAnother(ctx, err) {
			break
		}
	}
	if spare != nil {
		_ = spare.Close()
	}
	return nil, nil, err
}

// connect logs in over one link.
func (t Target) connect(ctx context.Context, l *link) (*pgconn.PgConn, error) {
	config, err := t.config(l)
	if err != nil {
		return nil, err
	}
	return pgconn.ConnectConfig(ctx, config)
}

// worthAnother tells whether a failed login may have failed for its encryption, or
// for want of it. What the server says of passwords, databases and its own state it
// would say again.
func (l *link) worthAnother(ctx context.Context, err error) bool {
	if l.nc == nil || ctx.Err() != nil {
		return false
	}
	if _, ok := errors.AsType[*CredentialError](err); ok {
		return false
	}
	server, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return true // it wants no TLS, or has no certificate or version that would do
	}
	// pg_hba.conf has no line for such a connection (28000), or a pooler refuses it (08P01).
	return server.Code == "28000" || server.Code == "08P01"
}

// config tells pgconn all it needs. The attempts are ours to make: pgconn would
// repeat one that the server has refused for other reasons.
func (t Target) config(l *link) (*pgconn.Config, error) {
	config, err := blankConfig()
	if err != nil {
		return nil, err
	}
	config.Host, config.Port = t.Host, uint16(t.Port)
	config.Database, config.User, config.Password = t.Database, t.User, t.Password
	if t.ApplicationName != "" {
		config.RuntimeParams["application_name"] = t.ApplicationName
	}
	for _, s := range t.Settings {
		config.RuntimeParams[s.Name] = s.Value
	}
	if t.Replication != "" {
		config.RuntimeParams["replication"] = t.Replication
	}
	if t.Protocol32 {
		config.MaxProtocolVersion = "3.2"
	}
	config.TLSConfig, config.SSLCertMode = l.encryption, "allow"
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.open(ctx) }
	if t.Password == "" {
		config.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, nc net.Conn) (net.Conn, error) {
			return &authConn{Conn: nc, user: t.User, substitutes: t.Substitutes, swallow: l.swallow}, nil
		}
	}
	config.BuildFrontend = counted(config.BuildFrontend, l)
	return config, nil
}

// blankConfig is a configuration that ParseConfig has made, as pgconn demands,
// with nothing in it. ParseConfig takes from the environment and from files in
// the home folder what the string does not say, so the string says all there is;
// the rest is cleared.
func blankConfig() (*pgconn.Config, error) {
	text := "host=/ port=1 dbname=x user=x password=x passfile=/dev/null sslmode=disable sslcertmode=disable" +
		" sslnegotiation=postgres target_session_attrs=any connect_timeout=0 min_protocol_version=3.0" +
		" max_protocol_version=3.0 channel_binding=prefer require_auth=''"
	if os.Getenv("PGSERVICE") != "" {
		// A service cannot be named away, only replaced by one that says nothing.
		folder, err := os.MkdirTemp("", "weir-service-")
		if err != nil {
			return nil, fmt.Errorf("PGSERVICE is set, and cannot be put aside: %w", err)
		}
		defer func() { _ = os.RemoveAll(folder) }()
		file := filepath.Join(folder, "service")
		if err := os.WriteFile(file, []byte("[none]\n"), 0o600); err != nil {
			return nil, fmt.Errorf("PGSERVICE is set, and cannot be put aside: %w", err)
		}
		text += " service=none servicefile='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(file) + "'"
	}
	config, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	config.TLSConfig, config.Fallbacks = nil, nil
	config.RuntimeParams = map[string]string{}
	config.KerberosSrvName, config.KerberosSpn = "", ""
	config.ConnectTimeout = 0 // the context has the deadline
	config.MaxProtocolMessageBodyLen = loginMessageMax
	return config, nil
}
