package pgerror

import "time"

// The texts of this file are PostgreSQL's for its own time limits of the same meaning; the hint says that this one is weir's.

// IdleTransactionTimeout ends a client that did nothing inside a transaction for idle_transaction_timeout.
func IdleTransactionTimeout(after time.Duration) *Error {
	return timedOut(SeverityFatal, CodeIdleTransactionTimeout,
		"terminating connection due to idle-in-transaction timeout", "idle_transaction_timeout", after).AsPgBouncer("idle transaction timeout")
}

// TransactionTimeout ends a client whose transaction lasted longer than transaction_timeout.
func TransactionTimeout(after time.Duration) *Error {
	return timedOut(SeverityFatal, CodeTransactionTimeout,
		"terminating connection due to transaction timeout", "transaction_timeout", after).AsPgBouncer("transaction timeout")
}

// QueryTimeout answers a statement that ran longer than query_timeout, and which the server has cancelled for that. The session lives on.
func QueryTimeout(after time.Duration) *Error {
	return timedOut(SeverityError, CodeQueryCanceled,
		"canceling statement due to statement timeout", "query_timeout", after)
}

// QueryNotCanceled ends a client whose statement ran longer than query_timeout and did not end when the server was asked to cancel it: its
// backend is closed under it.
func QueryNotCanceled(after time.Duration) *Error {
	return timedOut(SeverityFatal, CodeQueryCanceled,
		"canceling statement due to statement timeout", "query_timeout", after).AsPgBouncer("query timeout")
}

// ClientIdleTimeout ends a client that sent nothing for client_idle_timeout.
func ClientIdleTimeout(after time.Duration) *Error {
	return timedOut(SeverityFatal, CodeIdleSessionTimeout,
		"terminating connection due to idle-session timeout", "client_idle_timeout", after).AsPgBouncer("client_idle_timeout")
}

// ClientStallTimeout ends a client that took nothing of what it was being sent for client_stall_timeout.
func ClientStallTimeout(after time.Duration) *Error {
	return timedOut(SeverityFatal, CodeIdleSessionTimeout,
		"terminating connection because the client takes nothing of what it is sent", "client_stall_timeout", after).AsPgBouncer("client_stall_timeout")
}

// ClientStopsAmidMessage ends a client that sent a message in part and nothing more for client_stall_timeout.
func ClientStopsAmidMessage(after time.Duration) *Error {
	return timedOut(SeverityFatal, CodeIdleSessionTimeout,
		"terminating connection because the client does not send the rest of its message", "client_stall_timeout", after).AsPgBouncer("client_stall_timeout")
}

func timedOut(severity, code, message, setting string, after time.Duration) *Error {
	return &Error{
		Severity: severity, Code: code, Message: message,
		Hint: "See " + setting + " (" + after.String() + ", set in [timeouts] or for the user).",
	}
}

// QueryTimeoutInQueue ends a client of a weir that serves PgBouncer's file, where query_timeout holds for the wait for a backend, too.
func QueryTimeoutInQueue(after time.Duration) *Error {
	return QueryNotCanceled(after).AsPgBouncer("query_timeout")
}
