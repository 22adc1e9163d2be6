// Package config turns a TOML file, a DSN or libpq's environment into a checked Config, and says in the
// operator's words what is wrong with one.
//
// One table (settings.go, table.go) names every setting with its section, default, bounds and meaning; decoding,
// `weir check`, docs/configuration.md and deploy/weir.toml all come from it. Nothing here runs in a goroutine or a
// loop of its own: a Config is made once and never changes after that, so any goroutine may read it without a lock.
//
// May import the standard library, the TOML parser, the edit distance and, of weir's, config/hba.
package config

import (
	"log/slog"
	"strconv"
	"strings"

	"weir/config/hba"
)

// Config is everything that weir was told. It is immutable once Load, Parse, FromEnvironment or With returned it:
// its maps and slices are shared by all who read them.
type Config struct {
	Listen    Listen
	HTTP      HTTP
	Auth      Auth
	ClientTLS TLS // how clients are protected
	ServerTLS TLS // how weir's own connections to servers are
	ServerTCP ServerTCP
	Pool      Pool
	Session   Session
	Databases map[string]Database // by the name that clients ask for; "*" stands for every other name
	Users     map[string]User
	Peers     map[string]Peer // by id, or a range of ids
	Limits    Limits
	Timeouts  Timeouts
	Admin     Admin
	Log       Log
	Tracing   Tracing
	Loops     Loops
	Process   Process
	Clients   Clients
	Reload    Reload

	// PgBouncer is set where a file of PgBouncer's is served as it is: clients and the log are then told what PgBouncer tells them. No
	// setting of weir.toml says so.
	PgBouncer bool
	Foreign   []Foreign // then: all settings of [pgbouncer]
	Unheeded  []string  // then: what it says and weir does not do, or does otherwise, a sentence each
	// Mean gives the settings in Foreign their meaning in c, of which no other Config knows yet; changed is the one that has another value.
	Mean func(c *Config, changed string) error `json:"-"`

	Files []string // those that it was read from

	// What the files that [auth] names have. Treat them as the rest: they never change.
	Accounts   map[string]Secret // of auth_file, by user; a Secret that is not set is a user without a password
	HBA        *hba.Rules        // of hba_file; nil without one
	Ident      *hba.Maps         // of ident_file; nil without one
	SaltSecret Secret            // of salt_file; not set without one
	HTTPToken  Secret            // of token_file, or token; what HTTP must show for all but health; not set: nothing

	doubts []string // warnings that only the file shows: who may read its passwords, what it takes for variables
}

// Listen says where clients are accepted.
type Listen struct {
	Addresses       []string // host:port; an empty host is every address, port 0 any free port
	UnixSocketDir   string   // empty: no unix socket
	UnixSocketMode  FileMode
	UnixSocketGroup string // a name or a number; empty: that of the process
	UnixSocketPort  int    // in the socket's name; 0: see SocketPort
	Backlog         int
	ReusePort       bool
	TCPKeepalive    bool
	TCPKeepidle     Duration // 0: the system's
	TCPKeepintvl    Duration // 0: the system's
	TCPKeepcnt      int      // 0: the system's
	TCPUserTimeout  Duration // 0: the system's
	TCPSocketBuffer Size     // 0: the system's
	TCPDeferAccept  bool
	PeerID          PeerID
}

// ServerTCP is what the kernel does with connections to servers. 0 is what follows from Timeouts.ServerTCPTimeout.
type ServerTCP struct {
	Keepalive    bool
	Keepidle     Duration
	Keepintvl    Duration
	Keepcnt      int
	UserTimeout  Duration
	SocketBuffer Size // 0: the system's
}

// HTTP says where metrics, health, the live page and profiles are served, and to whom.
type HTTP struct {
	Address   string // empty: off
	Pprof     bool
	CertFile  Path   // with KeyFile: TLS
	KeyFile   Path   // the certificate's key
	Token     Secret // as the file has it; HTTPToken is what holds
	TokenFile Path   // its text is Config.HTTPToken
}

// Pool holds what a pool is like unless a database or a user says otherwise.
type Pool struct {
	Mode                 PoolMode
	PoolSize             int
	MinPoolSize          int
	ReservePoolSize      int
	ReservePoolTimeout   Duration // 0: the reserve is never used
	MaxDials             int
	MaxPrepared          int    // statements that a backend keeps for the clients that share them; 0: they are not shared
	MaxPreparedBytes     Size   // that one client's prepared statements may take; 0: no limit
	ConnectQuery         string // run on each new backend; empty: none
	SessionState         SessionState
	MaxPinned            int      // 0: no limit
	PinIdleTimeout       Duration // 0: none
	SessionAudit         SessionAudit
	ServerResetQuery     string          // empty: none
	ServerResetAlways    bool            // in every mode, not in session mode only
	ServerCheckQuery     string          // asked of a backend that has been idle for ServerCheckDelay; empty: nothing is
	ServerCheckDelay     Duration        // 0: it is asked each time
	ServerFastClose      bool            // backends that are to be replaced do not wait for the end of a session
	ServerRoundRobin     bool            // the backend that has been idle longest is used next
	ListenLostChannel    string          // clients that listen are told there of notifications that they may have missed; empty: by a notice only
	MaxNotificationBytes Size            // that may wait for a client that listens and does not read; 0: no limit
	MaxProtocol          ProtocolVersion // that servers are asked for
}

// Session says what functions do to the session of a client, where weir cannot see it.
type Session struct {
	OpaqueFunctions []string // that may do anything
	CleanFunctions  []string // that leave nothing
}

// Database says where a database's backends are found, and what is special about its pools.
type Database struct {
	Host                 string // host name, address, or the folder of a unix socket (it begins with / or @); several: with commas
	Port                 int
	Ports                []int // of the hosts, one each; nil: Port is that of all
	TargetSession        TargetSession
	LoadBalance          LoadBalance
	DBName               string // empty: the name that the client asked for
	User                 string // empty: the client's
	Password             Secret // clear text; unset: what [users] holds for the user that logs in
	ClientTLS, ServerTLS TLSOverride
	Settings             SessionDefaults
	Override
}

// User is a client's name with its password, and what is special about its pools.
type User struct {
	Password Secret // clear text, SCRAM verifier or md5 hash
	Settings SessionDefaults
	Override
}

// Limits bound connections over all pools. 0 is no limit, save for MaxClientConn and MaxLogins, which are at least 1.
type Limits struct {
	MaxClientConn            int
	MaxLogins                int
	MaxDBConnections         int
	MaxUserConnections       int
	MaxDBClientConnections   int
	MaxUserClientConnections int
	MaxPacketSize            Size // 0: the protocol's own
}

// Timeouts. 0 is off unless the field says otherwise.
type Timeouts struct {
	QueryWaitTimeout       Duration
	ServerLifetime         Duration
	ServerIdleTimeout      Duration
	PoolIdleTimeout        Duration
	ServerConnectTimeout   Duration
	ServerTCPTimeout       Duration // 0: the kernel's
	ServerLoginRetry       Duration // 0: no patience: the first failure is told to all who wait
	ClientLoginTimeout     Duration
	ClientIdleTimeout      Duration
	ClientStallTimeout     Duration
	QueryTimeout           Duration
	IdleTransactionTimeout Duration
	TransactionTimeout     Duration
	CancelWaitTimeout      Duration
	ShutdownGrace          Duration
	DrainTimeout           Duration // 0: idle clients are sent away at once
}

// Admin says who may use the admin console.
type Admin struct {
	AdminUsers  []string // may do everything
	StatsUsers  []string // may look
	StatsPeriod Duration // over which averages are made; at least a second
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level // one of slog's four
	Format LogFormat

	SlowWait        Duration // 0: waits are not logged
	SlowTransaction Duration // 0: nor are transactions

	Stderr         bool
	File           Path // empty: none
	Syslog         bool
	SyslogFacility string // one of syslogFacilities
	SyslogIdent    string
	Stats          bool // a line each Admin.StatsPeriod
}

// Tracing says which transactions are told to a collector of OpenTelemetry.
type Tracing struct {
	Enabled     bool
	Endpoint    string // empty: what OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and others say
	SampleRatio Ratio  // of transactions without a traceparent
	Statements  bool   // with the text
}

// Clients says what clients may say, and are told.
type Clients struct {
	IgnoreStartupParameters []string
	ApplicationNameAddHost  bool
	LoginNotice             string   // empty: none
	QueryWaitNotify         Duration // 0: never
	SimpleQuery             bool
}

// OptionsParameter is the name in IgnoreStartupParameters that stands for what a client sets in options, save what FollowedAlways names.
const OptionsParameter = "options"

// FollowedAlways reports whether name, in any letter case, is a startup parameter that PgBouncer knows, and so follows where it stands in
// ignore_startup_parameters, too.
func FollowedAlways(name string) bool {
	switch strings.ToLower(name) {
	case "application_name", "client_encoding", "datestyle", "intervalstyle", "standard_conforming_strings", "timezone":
		return true
	}
	return false
}

// Process says what weir does to its own process when it starts.
type Process struct {
	User    string // to change to, when started as root; empty: none
	PIDFile Path   // empty: none
}

// Loops says how many event loops there are.
type Loops struct {
	Count int // 0: weir chooses
}

// Reload says when the configuration is read anew, beside when weir is told to.
type Reload struct {
	Watch bool // when a file has changed
}

// Default returns what holds when nothing is said: no database, no user, and clients must authenticate.
func Default() *Config {
	return &Config{
		Listen: Listen{
			Addresses:      []string{"127.0.0.1:6432"},
			UnixSocketMode: 0o777,
			Backlog:        4096,
			TCPKeepalive:   true,
			TCPKeepidle:    60 * second,
			TCPKeepintvl:   30 * second,
			TCPKeepcnt:     8,
			TCPUserTimeout: 300 * second,
		},
		HTTP:      HTTP{Address: "127.0.0.1:9127"},
		Auth:      Auth{Type: AuthSCRAM, AuthQuery: DefaultAuthQuery, AuthQueryLifetime: 10 * second, SCRAMIterations: 4096},
		ClientTLS: TLS{SSLMode: SSLPrefer},
		ServerTLS: TLS{SSLMode: SSLPrefer},
		ServerTCP: ServerTCP{Keepalive: true},
		Pool: Pool{
			Mode:                 ModeTransaction,
			PoolSize:             20,
			ReservePoolTimeout:   5 * second,
			MaxDials:             4,
			MaxPrepared:          200,
			MaxPreparedBytes:     16 << 20,
			ServerResetQuery:     "DISCARD ALL",
			ServerCheckDelay:     30 * second,
			MaxNotificationBytes: 1 << 20,
		},
		Databases: map[string]Database{},
		Users:     map[string]User{},
		Peers:     map[string]Peer{},
		Limits:    Limits{MaxClientConn: 10_000, MaxLogins: 1000},
		Timeouts: Timeouts{
			QueryWaitTimeout:     120 * second,
			ServerLifetime:       3600 * second,
			ServerIdleTimeout:    600 * second,
			PoolIdleTimeout:      60 * second,
			ServerConnectTimeout: 15 * second,
			ServerTCPTimeout:     60 * second,
			ServerLoginRetry:     15 * second,
			ClientLoginTimeout:   60 * second,
			ClientStallTimeout:   300 * second,
			CancelWaitTimeout:    10 * second,
			DrainTimeout:         30 * second,
		},
		Admin:   Admin{StatsPeriod: 60 * second},
		Clients: Clients{QueryWaitNotify: 5 * second, SimpleQuery: true},
		Tracing: Tracing{SampleRatio: 0.01},
		Log:     Log{Level: slog.LevelInfo, Format: FormatText, Stderr: true, SyslogFacility: "daemon", SyslogIdent: "weir", Stats: true},
	}
}

// AnyDatabase is the name in [databases] that stands for every name not written there.
const AnyDatabase = "*"

// Database resolves the name that a client asked for: the entry of that name, or else the one for "*". Its DBName
// is always filled in. False: there is no such database here.
func (c *Config) Database(name string) (Database, bool) {
	d, ok := c.Databases[name]
	if !ok || name == AnyDatabase {
		// A client that asks for a database called "*" means its name, not our wildcard; both lead here.
		d, ok = c.Databases[AnyDatabase]
	}
	if ok && d.DBName == "" {
		d.DBName = name
	}
	return d, ok
}

// SocketPort is the number in the unix socket's name, .s.PGSQL.PORT, where UnixSocketPort is 0: the port of the first address that
// has one, or 6432.
func (l Listen) SocketPort() int {
	for _, a := range l.Addresses {
		if _, port, err := splitAddress(a); err == nil && port != "0" {
			n, _ := strconv.Atoi(port) // checked by splitAddress
			return n
		}
	}
	return 6432
}
