package pgerror

import (
	"fmt"
	"strconv"
	"time"
)

// MissingTerminator answers a startup packet whose list of parameters does not end where the packet ends.
var MissingTerminator = &Error{
	Severity: SeverityFatal, Code: CodeProtocolViolation,
	Message: "invalid startup packet layout: expected terminator as last byte",
}

// NoUserName answers a startup packet without "user".
var NoUserName = &Error{
	Severity: SeverityFatal, Code: CodeInvalidAuthorization,
	pgbouncer: "no username supplied",
	Message:   "no PostgreSQL user name specified in startup packet",
}

// EmptyPassword answers an empty password: PostgreSQL never accepts one.
var EmptyPassword = &Error{
	Severity: SeverityFatal, Code: CodeInvalidPassword,
	pgbouncer: "empty password returned by client",
	Message:   "empty password returned by client",
}

// InvalidSASLMechanism answers a client that chose a mechanism which it was not offered.
var InvalidSASLMechanism = &Error{
	Severity: SeverityFatal, Code: CodeProtocolViolation,
	Message: "client selected an invalid SASL authentication mechanism",
}

// ShuttingDown answers a login while weir drains.
var ShuttingDown = &Error{
	Severity: SeverityFatal, Code: CodeCannotConnectNow,
	pgbouncer: "pooler is shutting down",
	Message:   "the pooler is shutting down",
	Hint:      "Connect again: another weir, or this one once it is back, will answer.",
}

// UnencryptedData answers bytes that came after a request for encryption, before it was answered. request is "SSL" or
// "GSSAPI encryption". A machine in between may have put them there (CVE-2021-23222), so none of them is looked at.
func UnencryptedData(request string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		Message: "received unencrypted data after " + request + " request",
		Detail:  "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
	}
}

// EncryptionRequired answers a client without TLS where TLS is demanded.
var EncryptionRequired = &Error{
	Severity: SeverityFatal, Code: CodeInvalidAuthorization,
	pgbouncer: "SSL required",
	Message:   "connection is not encrypted",
	Detail:    "Connections over TCP must use TLS here: see sslmode in [client_tls].",
	Hint:      "Connect with sslmode=require, or what the driver calls it.",
}

// TLSTooOld answers a client whose version of TLS is older than its database demands; least is a version's name.
func TLSTooOld(least string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeInvalidAuthorization,
		Message: "connection requires " + least + " or newer",
		Hint:    "See min_version in [client_tls].",
	}
}

// CertificateRequired answers a client that has shown no certificate, or one of another authority. The text is PostgreSQL's.
var CertificateRequired = &Error{
	Severity: SeverityFatal, Code: CodeInvalidAuthorization,
	pgbouncer: "certificate authentication failed",
	Message:   "connection requires a valid client certificate",
}

// CertificateMismatch answers a client whose certificate is another user's. The text is PostgreSQL's.
func CertificateMismatch(user string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeInvalidAuthorization,
		pgbouncer: "certificate authentication failed",
		Message:   `certificate authentication failed for user "` + user + `"`,
	}
}

// UnsupportedProtocol answers a startup packet of another major protocol version than 3.
func UnsupportedProtocol(major, minor uint16) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeNotSupported,
		Message: fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", major, minor),
	}
}

// AuthenticationUnavailable answers a client whose user cannot be looked up: the database where users are looked
// up does not answer, or not in a way that can be understood. Why is for the log, not for strangers.
var AuthenticationUnavailable = &Error{
	Severity: SeverityFatal, Code: CodeCannotConnectNow,
	pgbouncer: "bouncer config error",
	Message:   "authentication is not possible at present",
	Hint:      "Connect again; the pooler's log has the reason.",
}

// AuthDatabaseDisabled answers a client whose user would be looked up in a database that an operator has disabled. Strangers are told no
// more than of any other lookup that is not possible, except in PgBouncer's words.
func AuthDatabaseDisabled(name string) *Error {
	e := *AuthenticationUnavailable
	e.pgbouncer = `authentication database "` + name + `" is disabled`
	return &e
}

// Peer is a connection as PostgreSQL's errors about pg_hba.conf name it.
type Peer struct {
	Host           string // an address, or [local]
	User, Database string
	TLS            bool
	Replication    bool // physical
}

func (v Peer) String() string {
	encryption := "no encryption"
	if v.TLS {
		encryption = "SSL encryption"
	}
	if v.Replication {
		return `replication connection from host "` + v.Host + `", user "` + v.User + `", ` + encryption
	}
	return `host "` + v.Host + `", user "` + v.User + `", database "` + v.Database + `", ` + encryption
}

// NoRule answers a client for which no rule of hba_file holds. The text is PostgreSQL's, because people search for it.
func NoRule(v Peer) *Error {
	return &Error{Severity: SeverityFatal, Code: CodeInvalidAuthorization, Message: "no pg_hba.conf entry for " + v.String(), pgbouncer: "no authentication method is found"}
}

// RejectedByRule answers a client whose rule in hba_file is to reject it. The text is PostgreSQL's.
func RejectedByRule(v Peer) *Error {
	return &Error{Severity: SeverityFatal, Code: CodeInvalidAuthorization, Message: "pg_hba.conf rejects connection for " + v.String(), pgbouncer: "login rejected"}
}

// PeerFailed answers a client on a unix socket whose account on this machine may not be the user.
func PeerFailed(user string) *Error {
	return &Error{Severity: SeverityFatal, Code: CodeInvalidAuthorization, Message: `peer authentication failed for user "` + user + `"`, pgbouncer: "unix socket login rejected"}
}

// WrongPassword answers both a wrong password and a user that does not exist.
func WrongPassword(user string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeInvalidPassword,
		pgbouncer: "password authentication failed",
		Message:   `password authentication failed for user "` + user + `"`,
	}
}

// MalformedSASL answers an authentication message that breaks the rules of its mechanism; detail is a sentence.
func MalformedSASL(detail string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		pgbouncer: "SASL authentication failed",
		Message:   "malformed SCRAM message",
		Detail:    detail,
	}
}

// ChannelBindingRequired answers a login that must be bound to TLS, of a client that does not bind it or has no TLS.
var ChannelBindingRequired = &Error{
	Severity: SeverityFatal, Code: CodeInvalidAuthorization,
	pgbouncer: "SASL authentication failed",
	Message:   "login is not bound to a TLS connection",
	Detail:    `Channel binding is demanded: [auth] type is "scram-sha-256-plus".`,
	Hint:      "Connect with sslmode=require and channel_binding=prefer, or what the driver calls these.",
}

// ChannelBindingDenied answers a client that could bind its login to TLS and says that it was not offered that. The texts are
// PostgreSQL's.
var ChannelBindingDenied = &Error{
	Severity: SeverityFatal, Code: CodeInvalidAuthorization,
	pgbouncer: "SASL authentication failed",
	Message:   "SCRAM channel binding negotiation error",
	Detail: "The client supports SCRAM channel binding but thinks the server does not.  " +
		"However, this server does support channel binding.",
}

// ChannelBindingFailed answers a login that is bound to another TLS connection than this one. The text is PostgreSQL's.
var ChannelBindingFailed = &Error{
	Severity: SeverityFatal, Code: CodeInvalidAuthorization,
	pgbouncer: "SASL authentication failed",
	Message:   "SCRAM channel binding check failed",
	Detail:    "The client has seen another certificate than this server's. A machine in between may have shown it.",
}

// UnsupportedChannelBinding answers another kind of binding than tls-server-end-point. The text is PostgreSQL's.
func UnsupportedChannelBinding(kind string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		pgbouncer: "SASL authentication failed",
		Message:   `unsupported SCRAM channel-binding type "` + kind + `"`,
	}
}

// UnsupportedSASL answers a part of SCRAM that PostgreSQL does not have either; what names it.
func UnsupportedSASL(what string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeNotSupported,
		pgbouncer: "SASL authentication failed",
		Message:   "client uses " + what + ", but it is not supported",
	}
}

// UnknownDatabase answers an authenticated client that wants a database which weir does not have.
func UnknownDatabase(database string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeUnknownDatabase,
		pgbouncer: "no such database: " + database,
		Message:   `database "` + database + `" does not exist`,
		Hint:      `Add a section [databases.` + tomlKey(database) + `], or [databases."*"] for all that the server has.`,
	}
}

// LoginTimeout ends a login that was not complete in time. The text is PostgreSQL's for authentication_timeout.
func LoginTimeout(after time.Duration) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeQueryCanceled,
		pgbouncer: "client_login_timeout",
		Message:   "canceling authentication due to timeout",
		Detail:    "The login was not complete within " + after.String() + ".",
		Hint:      "See client_login_timeout in [timeouts].",
	}
}

// InvalidReplication answers a value of the startup parameter "replication" that is no boolean and not "database".
func InvalidReplication(value string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeInvalidValue,
		Message: `invalid value for parameter "replication": "` + value + `"`,
		Hint:    `Valid values are: "false", 0, "true", 1, "database".`,
	}
}

// InvalidOptions answers a startup parameter "options" that holds more than settings; what says which word is wrong.
func InvalidOptions(what string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeSyntaxError,
		Message:   `invalid startup parameter "options": ` + what,
		pgbouncer: "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
		Hint:      "Only settings can be given there: -c name=value or --name=value.",
	}
}

// UnknownSetting answers a startup parameter whose name cannot be that of any setting. Names that could be one are left to
// the server to judge.
func UnknownSetting(name string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeUnknownSetting,
		Message: `unrecognized configuration parameter "` + name + `"`,
	}
}

// SettingsRefused passes on what the server said about the settings of a client's startup packet, as it would have said at a
// login of the client's own.
func SettingsRefused(code, message, detail, hint string) *Error {
	return &Error{Severity: SeverityFatal, Code: code, Message: message, Detail: detail, Hint: hint}
}

// InvalidSetting answers a startup parameter that weir cannot carry from backend to backend: too many, too long, or one that no
// session can have.
func InvalidSetting(name, code, problem string) *Error {
	return &Error{Severity: SeverityFatal, Code: code, Message: `setting "` + name + `" ` + problem}
}

// tomlKey writes a name as it must stand in a section's header.
func tomlKey(name string) string {
	for i := 0; i < len(name); i++ {
		c := name[i]
		bare := c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !bare {
			return strconv.Quote(name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}
