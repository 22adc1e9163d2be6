package pgerror

import "cmp"

// InPgBouncersWords is the error as PgBouncer would tell it, for clients of a weir that serves a file of PgBouncer's: there each error
// of the pooler's own ends the connection and has the code 08P01, save for what the server has said.
func (e *Error) InPgBouncersWords() *Error {
	if e.pgbouncer == "" {
		return e
	}
	return &Error{Severity: SeverityFatal, Code: cmp.Or(e.pgbouncerCode, CodeProtocolViolation), Message: e.pgbouncer}
}

// AsPgBouncer is e with what PgBouncer says in its place.
func (e *Error) AsPgBouncer(text string) *Error {
	c := *e
	c.pgbouncer = text
	return &c
}

// NoUserOfItsOwn answers a client where the type of [auth] is "any", and its database has no user of its own to log in as.
func NoUserOfItsOwn(database string) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeInvalidAuthorization, pgbouncer: "bouncer config error",
		Message: `database "` + database + `" has no user of its own`,
		Detail:  `The type of [auth] is "any": what clients call themselves counts for nothing, so the database must name its user.`,
		Hint:    "Give user in [databases." + tomlKey(database) + "].",
	}
}
