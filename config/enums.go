package config

import "strings"

// PoolMode says for how long a client keeps its backend.
type PoolMode uint8

const (
	// ModeTransaction keeps it until the transaction is over.
	ModeTransaction PoolMode = iota
	// ModeSession keeps it until the client is gone.
	ModeSession
	// ModeStatement keeps it for one statement; transactions of several statements are refused.
	ModeStatement
)

var poolModeNames = []string{ModeTransaction: "transaction", ModeSession: "session", ModeStatement: "statement"}

func (m PoolMode) String() string { return nameOf(poolModeNames, int(m)) }

// SessionState says what becomes of what clients do to their sessions.
type SessionState uint8

const (
	// StateFollow has it follow the client, or keep its backend.
	StateFollow SessionState = iota
	// StateReject refuses it.
	StateReject
	// StateIgnore leaves it on the backend.
	StateIgnore
)

var sessionStateNames = []string{StateFollow: "follow", StateReject: "reject", StateIgnore: "ignore"}

func (s SessionState) String() string { return nameOf(sessionStateNames, int(s)) }

// SessionAudit says after which statements a backend is asked what state its session is in.
type SessionAudit uint8

const (
	// AuditLearn asks after the first runs of each statement, after those that were found to leave state, and now and then.
	AuditLearn SessionAudit = iota
	// AuditAlways asks after each transaction.
	AuditAlways
	// AuditOff asks only where the text of a statement says that it may leave state.
	AuditOff
)

var sessionAuditNames = []string{AuditLearn: "learn", AuditAlways: "always", AuditOff: "off"}

func (a SessionAudit) String() string { return nameOf(sessionAuditNames, int(a)) }

// TargetSession says which servers may serve a database, as libpq's target_session_attrs does.
type TargetSession uint8

const (
	// TargetAny takes every server.
	TargetAny TargetSession = iota
	// TargetReadWrite takes a server whose sessions may write.
	TargetReadWrite
	// TargetReadOnly takes one whose sessions may not.
	TargetReadOnly
	// TargetPrimary takes a server that is no standby.
	TargetPrimary
	// TargetStandby takes a standby.
	TargetStandby
	// TargetPreferStandby takes a standby, and where there is none any server.
	TargetPreferStandby
)

var targetSessionNames = []string{
	TargetAny: "any", TargetReadWrite: "read-write", TargetReadOnly: "read-only", TargetPrimary: "primary", TargetStandby: "standby",
	TargetPreferStandby: "prefer-standby",
}

func (t TargetSession) String() string { return nameOf(targetSessionNames, int(t)) }

// LoadBalance says in which order the servers of a database are tried, as libpq's load_balance_hosts does.
type LoadBalance uint8

const (
	// BalanceDisable tries them as they stand.
	BalanceDisable LoadBalance = iota
	// BalanceRandom tries them in an order that is drawn for each backend.
	BalanceRandom
)

var loadBalanceNames = []string{BalanceDisable: "disable", BalanceRandom: "random"}

func (b LoadBalance) String() string { return nameOf(loadBalanceNames, int(b)) }

// ProtocolVersion is a version of PostgreSQL's protocol.
type ProtocolVersion uint8

const (
	// Protocol30 is what every server speaks.
	Protocol30 ProtocolVersion = iota
	// Protocol32 is PostgreSQL 18's: its cancel keys are longer.
	Protocol32
)

var protocolVersionNames = []string{Protocol30: "3.0", Protocol32: "3.2"}

func (v ProtocolVersion) String() string { return nameOf(protocolVersionNames, int(v)) }

// AuthType says how clients prove who they are.
type AuthType uint8

const (
	// AuthSCRAM asks for scram-sha-256.
	AuthSCRAM AuthType = iota
	// AuthMD5 asks for an md5 hash; users with a SCRAM verifier are asked for scram-sha-256, as PostgreSQL does.
	AuthMD5
	// AuthPassword asks for the password in clear text.
	AuthPassword
	// AuthTrust believes everyone.
	AuthTrust
	// AuthHBA does what the first fitting rule of hba_file says.
	AuthHBA
	// AuthSCRAMPlus asks for scram-sha-256 that is bound to the TLS connection.
	AuthSCRAMPlus
	// AuthCert asks for a certificate that names the user.
	AuthCert
	// AuthAny believes everyone, and takes no name of theirs for anything: every database has a user of its own.
	AuthAny
)

var authTypeNames = []string{
	AuthSCRAM: "scram-sha-256", AuthMD5: "md5", AuthPassword: "password", AuthTrust: "trust", AuthHBA: "hba",
	AuthSCRAMPlus: "scram-sha-256-plus", AuthCert: "cert", AuthAny: "any",
}

// pgbouncerPlain is what PgBouncer calls "password".
const pgbouncerPlain = "plain"

func (t AuthType) String() string { return nameOf(authTypeNames, int(t)) }

// CertName says what in a client's certificate is the name of its user.
type CertName uint8

const (
	// CertCN is the subject's common name.
	CertCN CertName = iota
	// CertSAN is any of the alternative names: DNS names, e-mail addresses, URIs.
	CertSAN
	// CertDN is the whole subject, as RFC 2253 writes it: CN=alice,O=Example.
	CertDN
)

var certNames = []string{CertCN: "cn", CertSAN: "san", CertDN: "dn"}

func (n CertName) String() string { return nameOf(certNames, int(n)) }

// LogFormat says how a log line is written.
type LogFormat uint8

const (
	// FormatText is key=value.
	FormatText LogFormat = iota
	// FormatJSON is one JSON object a line.
	FormatJSON
)

var logFormatNames = []string{FormatText: "text", FormatJSON: "json"}

func (f LogFormat) String() string { return nameOf(logFormatNames, int(f)) }

// logLevelNames in the order of slog's levels, which are 4 apart and begin at -4.
var logLevelNames = []string{"debug", "info", "warn", "error"}

var syslogFacilities = []string{
	"daemon", "user", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// indexOf finds a word as it is written; the names of settings and their words are lower case only.
func indexOf(names []string, word string) (int, bool) {
	for i, n := range names {
		if n == word {
			return i, true
		}
	}
	return 0, false
}

// oneOf lists words for a message: "a", "b" or "c".
func oneOf(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(`"` + w + `"`)
	}
	return b.String()
}
