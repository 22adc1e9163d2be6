package pgerror

import (
	"strings"
	"time"
)

// BackendLost ends the client whose backend broke while it owed answers or was in a transaction.
var BackendLost = &Error{
	Severity: SeverityFatal, Code: CodeConnectionFailure,
	pgbouncer: "server conn crashed?",
	Message:   "server closed the connection unexpectedly",
	Detail:    "The backend that worked for this client ended. Whether its last transaction was committed is not known.",
	Hint:      "Connect again; repeat the transaction only if that is safe.",
}

// BackendLostInCopy is BackendLost while a COPY was under way.
var BackendLostInCopy = &Error{
	Severity: SeverityFatal, Code: CodeConnectionFailure,
	pgbouncer: "server conn crashed?",
	Message:   "server closed the connection unexpectedly during COPY",
	Detail:    "The backend that worked for this client ended before the COPY did. Unless all of its data had been sent, none of its rows were committed.",
	Hint:      "Connect again and repeat the COPY.",
}

// InDoubt ends a client whose backend answered what weir does not expect: rather one lost connection than an answer that
// belongs to another client.
var InDoubt = &Error{
	Severity: SeverityFatal, Code: CodeConnectionFailure,
	Message: "the backend answered out of turn and was closed",
	Detail:  "Whether the last transaction was committed is not known.",
	Hint:    "Please report this with weir's log: it is a bug in weir, in the server or in the driver.",
}

// SequencesMixed answers the first currval or lastval of a pool's clients, where the backend has values of other clients' and the
// transaction cannot do without what it has drawn itself.
var SequencesMixed = &Error{
	Severity: SeverityError, Code: CodeNotInPrerequisiteState,
	Message: "currval and lastval are not yet kept apart in this pool",
	Detail:  "No client of the pool had used them so far, and the backend may have values of sequences that it gave to other clients.",
	Hint:    "Run the transaction again: from now on each client finds its own values.",
}

// AdminShutdown ends a client on the operator's behalf: weir stops, or the client was killed from the console.
var AdminShutdown = &Error{
	Severity: SeverityFatal, Code: CodeAdminShutdown,
	pgbouncer: "server shutting down",
	Message:   "terminating connection due to administrator command",
}

// BackendReplaced ends a client whose backend is to be replaced, and does not wait until the client gives it back. section is where
// server_fast_close is set.
func BackendReplaced(section string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeAdminShutdown, pgbouncer: "database configuration changed",
		Message: "terminating connection because its backend is to be replaced",
		Detail:  "An operator has asked for new backends, or the database is served otherwise now, and the session kept its backend.",
		Hint:    "Connect again. See server_fast_close (true, set in [" + section + "]).",
	}
}

// DatabaseRemoved ends a client whose database is not in the configuration any more.
func DatabaseRemoved(database string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeAdminShutdown,
		pgbouncer: "database removed",
		Message:   "database removed",
		Detail:    "The pooler's configuration does not have the database \"" + database + "\" any more.",
	}
}

// DatabaseChanged ends a client that would have another pool now, and cannot change to it.
func DatabaseChanged(database string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeAdminShutdown,
		pgbouncer: "database configuration changed",
		Message:   "database configuration changed",
		Detail:    "The pooler logs in to the server otherwise now for clients of the database \"" + database + "\".",
		Hint:      "Connect again.",
	}
}

// Canceled answers the statement of a client that was cancelled while it waited for a backend.
var Canceled = &Error{
	Severity: SeverityError, Code: CodeQueryCanceled,
	Message: "canceling statement due to user request",
}

// Unreachable answers a client for whom no connection to the server could be made. server is its address; cause the
// operating system's or the network's text.
func Unreachable(server, cause string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeCannotConnect,
		pgbouncer: "server login has been failing, cached error: connect failed (server_login_retry)",
		Message:   "could not connect to the server at " + server,
		Detail:    "The last attempt said: " + sentence(cause),
	}
}

// NoUse answers a client for whom backends were opened for query_wait_timeout, and each ended, or did not answer, before it was of use.
func NoUse(waited time.Duration) *Error {
	return &Error{
		Severity: SeverityError, Code: CodeCannotConnectNow,
		pgbouncer: "query_wait_timeout",
		Message:   "the server has given no answer within " + waited.String(),
		Detail:    "It let weir in, and then ended the connections, or left weir's commands without an answer.",
		Hint:      "Look at the server's log, and at weir's for how the backends ended.",
	}
}

// Beside is e where other servers were tried, too; others says what each of them was.
func (e *Error) Beside(others string) *Error {
	c := *e
	c.Detail = strings.TrimSpace(c.Detail + " The other servers: " + sentence(others))
	return &c
}

// NoSuitableServer answers a client that has waited in vain for a server of the role that its database is to have. attrs is the value of
// target_session_attrs; found says what there is.
func NoSuitableServer(attrs, found string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeCannotConnect,
		Message: "there is no " + attrs + " server for the database",
		Detail:  "The last attempt found: " + sentence(found),
		Hint:    "See target_session_attrs in weir's configuration, and query_wait_timeout, which bounds the wait.",
	}
}

// ServerRefused answers a client for whom the server let weir not in for a reason of its own: it is starting up (57P03). code and text are
// the server's.
func ServerRefused(server, code, text string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: code,
		pgbouncer: text, pgbouncerCode: code,
		Message: "the server at " + server + " refused weir's login",
		Detail:  "The server said: " + sentence(text),
	}
}

// ServerFull is ServerRefused where the server has no place left (53300) and the pool has no backend.
func ServerFull(server, text string) *Error {
	e := ServerRefused(server, CodeTooManyConnections, text)
	e.Hint = howToMakeRoom + "."
	return e
}

const howToMakeRoom = "Lead its other clients through weir, too, or raise the limit there"

// WrongTarget answers a client that has named what the server does not have, or does not let in: a database (3D000), a role, a
// password (class 28). code and text are the server's, as a client without weir would see them.
func WrongTarget(server, code, text string) *Error {
	e := &Error{
		Severity: SeverityFatal, Code: code, Message: text, pgbouncer: text, pgbouncerCode: code,
		Detail: "The server at " + server + " said so to weir, which logs in to it for the client.",
	}
	if strings.HasPrefix(code, "28") {
		e.Hint = howToLogIn
	}
	return e
}

// IsWrongTarget reports whether an error of a server's login is for what the client named, and so says nothing of the server's health.
func IsWrongTarget(code string) bool {
	return code == CodeUnknownDatabase || strings.HasPrefix(code, "28")
}

// howToLogIn is advice for an operator who has a file, and for one who has none.
const howToLogIn = "What weir logs in with stands in [databases] and [users]; without a file it is PGPASSWORD in weir's environment, or " +
	"--to postgres://user:password@host. See docs/authentication.md for how weir can do without."

// ConnectQueryFailed answers a client for whom weir got no backend because the connect_query failed on it.
func ConnectQueryFailed(server, why string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeCannotConnectNow,
		Message: "connect_query failed on a new backend at " + server,
		Detail:  "The reason: " + sentence(why),
		Hint:    "See connect_query in weir's configuration.",
	}
}

// NothingToLogInWith answers a client for whom weir could not log in to the server, because it has nothing that the server would
// take. why says what is lacking.
func NothingToLogInWith(server, why string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeInvalidAuthorization,
		pgbouncer: "server login failed: wrong password type",
		Message:   "weir cannot log in to the server at " + server,
		Detail:    "As things are, " + sentence(why),
		Hint:      howToLogIn,
	}
}

// sentence ends a foreign text with exactly one full stop.
func sentence(s string) string { return strings.TrimRight(s, ". \n") + "." }
