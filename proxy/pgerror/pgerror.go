// Package pgerror holds every error that weir itself can send to a client: its severity, SQLSTATE, text, detail and hint, one
// constructor or value for each. docs/errors.md lists them for users and is generated from here by this package's test.
//
// Texts follow PostgreSQL's "Error Message Style Guide": the primary message is short, in lower case and has no full stop;
// detail and hint are sentences, facts in one and advice in the other. Where PostgreSQL has a text for the same situation,
// weir uses it, because applications and people search for it.
//
// Errors that the data path sends are values made once; the others are made when they are needed, on any goroutine. No Error
// is changed after it was made, so all may be shared. The package imports nothing of weir's.
package pgerror

// The severities that weir uses: the first word of what psql prints, never localised.
const (
	SeverityError = "ERROR" // the statement, and its transaction, failed; the connection lives on
	SeverityFatal = "FATAL" // the connection ends after this message
	// SeverityNotice is that of what is said by the way, in a NoticeResponse.
	SeverityNotice = "NOTICE"
)

// Error is an ErrorResponse before it becomes bytes. Treat it as immutable.
type Error struct {
	Severity string // one of the constants above
	Code     string // SQLSTATE, one of the constants of code.go or a server's own
	Message  string
	Detail   string // a sentence or more, or empty
	Hint     string // a sentence or more, or empty
}

// Error gives the primary message and the SQLSTATE, for logs and for wrapping.
func (e *Error) Error() string { return e.Message + " (" + e.Code + ")" }

// Fatal reports whether the connection must end after this error.
func (e *Error) Fatal() bool { return e.Severity == SeverityFatal }

// WithSeverity returns e itself where it has that severity, otherwise a changed copy: the same refusal ends the connection
// in one place, and only the statement in another.
func (e *Error) WithSeverity(s string) *Error {
	if e.Severity == s {
		return e
	}
	c := *e
	c.Severity = s
	return &c
}
