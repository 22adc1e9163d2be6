package pgerror

import (
	"fmt"
	"strings"
	"time"
)

// StatementModeTransaction answers a client that opened a transaction block in a statement-mode pool: its next statement
// could run on another backend, outside of the block.
var StatementModeTransaction = &Error{
	Severity: SeverityFatal, Code: CodeNotSupported,
	pgbouncer: "transaction blocks not allowed in statement pooling mode",
	Message:   "transaction blocks are not allowed in statement pooling mode",
	Hint:      `Set mode = "transaction" for this database or user.`,
}

// TooManyConsoles answers a client beyond what weir lets into the admin console.
func TooManyConsoles(limit int) *Error {
	return tooManyClients("too many clients of the admin console",
		fmt.Sprintf("All %d connections that weir allows to the console are in use.", limit),
		"Close some. The account that weir runs as, and root, have places of their own on the unix socket.")
}

// TooManyClients answers a client beyond max_client_conn; limit is its present value.
func TooManyClients(limit int) *Error {
	return tooManyClients("too many clients",
		fmt.Sprintf("All %d client connections that weir allows are in use.", limit),
		fmt.Sprintf("Raise max_client_conn (%d, set in [limits]), or close idle connections.", limit)).
		AsPgBouncer("no more connections allowed (max_client_conn)")
}

// TooFewDescriptors answers a client for which the process has no descriptor to spare; limit is how many it may have.
func TooFewDescriptors(limit int) *Error {
	return tooManyClients("too many clients",
		fmt.Sprintf("Of the %d descriptors that the weir process may have, the rest is kept for connections to servers.", limit),
		"Raise the limit of open files (LimitNOFILE of the service, or ulimit -n), or close idle connections.")
}

// TooManyDatabaseClients answers a client beyond max_db_client_connections of its database.
func TooManyDatabaseClients(database string, limit int) *Error {
	return tooManyClients(`too many clients for database "`+database+`"`,
		fmt.Sprintf("All %d client connections that weir allows for this database are in use.", limit),
		fmt.Sprintf("Raise max_db_client_connections (%d, set in [limits] or the database's section), or close idle connections.", limit)).
		AsPgBouncer("client connections exceeded (max_db_client_connections)")
}

// TooManyUserClients answers a client beyond max_user_client_connections of its user.
func TooManyUserClients(user string, limit int) *Error {
	return tooManyClients(`too many clients for user "`+user+`"`,
		fmt.Sprintf("All %d client connections that weir allows for this user are in use.", limit),
		fmt.Sprintf("Raise max_user_client_connections (%d, set in [limits] or the user's section), or close idle connections.", limit)).
		AsPgBouncer("client connections exceeded (max_user_client_connections)")
}

func tooManyClients(message, detail, hint string) *Error {
	return &Error{Severity: SeverityFatal, Code: CodeTooManyConnections, Message: message, Detail: detail, Hint: hint}
}

// Wait is what is known about a wait for a backend that came to nothing.
type Wait struct {
	After   time.Duration // query_wait_timeout, or how long it really was where that is longer
	Pool    string        // "database/user"
	Leased  int           // backends of the pool that other clients hold
	Longest time.Duration // since the oldest of these leases began; 0 if not known
	Holder  string        // application_name of its holder, "" if not known or not to be told
	Setting string        // what bounds the pool: "pool_size", "max_db_connections", ...
	Value   int           // the setting's present value
	Section string        // where it is set: "databases.shop"
	Dialing int           // backends that are being connected to
	Pinned  int           // of the leased ones, those that session state keeps
	Oldest  Pin           // of these, the one that is kept for longest
}

// noBackendWithin begins the message of a wait that was too long; its detail says why.
const noBackendWithin = "no backend became free within "

// Waiting is a notice for a client that still waits for a backend. why is what the client would be told if the wait failed now.
func Waiting(why *Error) *Error {
	if strings.HasPrefix(why.Message, noBackendWithin) {
		return Notice("waiting for a backend", why.Detail)
	}
	return Notice("waiting for a backend", strings.TrimSpace(sentence(why.Message)+" "+why.Detail))
}

// NoBackend ends a wait for a backend that lasted for query_wait_timeout.
func NoBackend(w Wait) *Error {
	return &Error{
		Severity: SeverityError, Code: CodeTooManyConnections,
		pgbouncer: "query_wait_timeout",
		Message:   noBackendWithin + w.After.String(),
		Detail:    w.detail(),
		Hint:      fmt.Sprintf("Raise %s (%d, set in [%s]), or "+howToFindHolders, w.Setting, w.Value, w.Section),
	}
}

// NoBackendAtFullServer is NoBackend where the server lets weir have no more, before the pool has reached its size: full says what is
// full there.
func NoBackendAtFullServer(w Wait, full string) *Error {
	e := NoBackend(w)
	e.Detail += " The server has no place for more: " + full + " is reached."
	e.Hint = howToMakeRoom + ", or " + howToFindHolders
	return e
}

const howToFindHolders = "see weir_transaction_seconds and weir_backends_pinned for what holds them."

// Paused ends a wait for a backend of a pool that an operator has paused. after is how long it was, poolName "database/user".
func Paused(after time.Duration, poolName string) *Error {
	return &Error{
		Severity: SeverityError, Code: CodeTooManyConnections,
		pgbouncer: "query_wait_timeout",
		Message:   noBackendWithin + after.String(),
		Detail:    "An operator has said PAUSE on the admin console, which holds for pool " + poolName + ".",
		Hint:      "RESUME ends it.",
	}
}

func (w Wait) detail() string {
	var d string
	switch {
	case w.Leased == 0:
		d = fmt.Sprintf("Pool %s has no backend", w.Pool)
	case w.Leased == 1:
		d = fmt.Sprintf("The only backend of pool %s is leased", w.Pool)
	default:
		d = fmt.Sprintf("All %d backends of pool %s are leased", w.Leased, w.Pool)
	}
	if w.Leased > 0 && w.Longest > 0 {
		if w.Leased > 1 {
			d += ", the longest"
		}
		d += " for " + w.Longest.Truncate(time.Second).String()
		if w.Holder != "" {
			d += fmt.Sprintf(" by %q", w.Holder)
		}
	}
	if w.Pinned > 0 {
		d += fmt.Sprintf("; session state keeps %d of them, the longest: %s", w.Pinned, w.Oldest)
	}
	if w.Dialing > 0 {
		d += fmt.Sprintf("; %d more are being connected to", w.Dialing)
	}
	return d + "."
}

// PreparedTextsTooLong is for a client whose prepared statements would take more memory than one client may have.
func PreparedTextsTooLong(limit int) *Error {
	return &Error{
		Severity: SeverityError, Code: CodeConfigurationLimit,
		Message: "too many prepared statements",
		Detail:  fmt.Sprintf("The prepared statements of one client may take %d bytes.", limit),
		Hint:    "Deallocate statements that are no longer needed, or raise max_prepared_bytes in [pool].",
	}
}

// PortalNameTooLong is for a Bind in which the names of portal and statement do not end within what is looked at, in bytes.
func PortalNameTooLong(limit int) *Error {
	return &Error{
		Severity: SeverityError, Code: CodeNameTooLong,
		Message: "portal name is too long",
		Detail:  fmt.Sprintf("The names of the portal and of the statement in a Bind must end within its first %d bytes.", limit),
		Hint:    "PostgreSQL distinguishes portals by the first 63 bytes of their names.",
	}
}

// PacketTooLong ends a client that has sent a message longer than max_packet_size. kind is its type; length and limit are bytes.
func PacketTooLong(kind byte, length, limit int) *Error {
	return tooLong(fmt.Sprintf("The client has sent a message of type %q and %d bytes.", kind, length), limit)
}

// ResultTooLong ends a client that would be sent a message longer than max_packet_size.
func ResultTooLong(kind byte, length, limit int) *Error {
	return tooLong(fmt.Sprintf("The server has sent a message of type %q and %d bytes.", kind, length), limit)
}

func tooLong(detail string, limit int) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProgramLimit, pgbouncer: "bad packet header",
		Message: "a message is longer than max_packet_size",
		Detail:  detail,
		Hint:    fmt.Sprintf("Send or ask for less at a time, or raise max_packet_size (%d bytes, set in [limits]).", limit),
	}
}

// SimpleQueryRefused ends a client that has sent a simple query where those are not served.
var SimpleQueryRefused = &Error{
	Severity: SeverityFatal, Code: CodeNotSupported, pgbouncer: "PQexec disallowed",
	Message: "simple queries are not served here",
	Hint:    "Use the extended protocol, or set simple_query = true (now false, set in [clients]).",
}
