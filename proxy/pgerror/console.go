package pgerror

// The texts of this file are PgBouncer's, which scripts and operators know.

// ConsoleNotAllowed answers a user who is in neither admin_users nor stats_users.
var ConsoleNotAllowed = &Error{
	Severity: SeverityFatal, Code: CodeInvalidAuthorization,
	pgbouncer: "not allowed",
	Message:   "not allowed",
	Detail:    "Only the users of admin_users and stats_users in [admin] may use the admin console.",
}

// ConsoleNoReplication answers a client that asks the admin console for replication.
var ConsoleNoReplication = &Error{
	Severity: SeverityFatal, Code: CodeNotSupported,
	Message: "the admin console has nothing to replicate",
}

// DatabaseDisabled answers a client of a database that an operator has disabled.
func DatabaseDisabled(name string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeCannotConnectNow,
		pgbouncer: `database "` + name + `" is disabled`,
		Message:   `database "` + name + `" is disabled`,
		Detail:    "An operator has said DISABLE on the admin console.",
		Hint:      "ENABLE ends it.",
	}
}

// DatabaseKilled ends the clients of a database that an operator has killed.
var DatabaseKilled = &Error{
	Severity: SeverityFatal, Code: CodeAdminShutdown,
	pgbouncer: "database removed",
	Message:   "database removed",
	Detail:    "An operator has said KILL on the admin console.",
	Hint:      "Clients that connect now wait until RESUME.",
}

// ClientKilled ends a client that an operator has chosen.
var ClientKilled = &Error{
	Severity: SeverityFatal, Code: CodeAdminShutdown,
	pgbouncer: "admin forced disconnect",
	Message:   "admin forced disconnect",
}

// Console is an error of the admin console itself. Its connection goes on.
func Console(message string) *Error {
	return &Error{Severity: SeverityError, Code: CodeProtocolViolation, Message: message}
}

// ConsolePauseEnded answers PAUSE where somebody else has ended what it waits for.
var ConsolePauseEnded = &Error{
	Severity: SeverityError, Code: CodeQueryCanceled, Message: "the pause was ended before all backends were closed",
	Detail: "Another operator has said RESUME, or has given up waiting for a PAUSE of the same.", Hint: "Nothing is paused: say PAUSE again.",
}

// ConsoleReloadFailed answers RELOAD; why is what is wrong.
func ConsoleReloadFailed(why string) *Error {
	return &Error{
		Severity: SeverityError, Code: CodeConfigFile, Message: "RELOAD failed, see logs for additional details", Detail: "Reason: " + why + ".",
		Hint: "Nothing has changed.",
	}
}

// ConsoleSetFailed answers SET of what is no setting, or has no such value.
func ConsoleSetFailed(why string) *Error {
	return &Error{Severity: SeverityError, Code: CodeProtocolViolation, Message: "SET failed", Detail: "Reason: " + why + "."}
}

// ConsoleSyntax is for what the extended protocol does not allow. The texts of this and the next two are PostgreSQL's.
func ConsoleSyntax(message string) *Error {
	return &Error{Severity: SeverityError, Code: CodeSyntaxError, Message: message}
}

// ConsoleDuplicate is for a name that is taken; what is "prepared statement".
func ConsoleDuplicate(what, name string) *Error {
	return &Error{Severity: SeverityError, Code: CodeDuplicateStatement, Message: what + ` "` + name + `" already exists`}
}

// ConsoleMissing is for a name that means nothing; what is "prepared statement" or "portal".
func ConsoleMissing(what, name string) *Error {
	code := CodeUnknownStatement
	if what == "portal" {
		code = CodeUnknownCursor
	}
	return &Error{Severity: SeverityError, Code: code, Message: what + ` "` + name + `" does not exist`}
}
