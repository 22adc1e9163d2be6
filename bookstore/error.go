package bookstore

import "errors"

// Code says what kind of error a caller met. Errors of any other type are faults of the application: they are logged,
// and the caller learns nothing of them.
type Code string

// The codes and what they mean to a caller.
const (
	Invalid         Code = "invalid"         // the request is wrong; Fields says where
	Unauthenticated Code = "unauthenticated" // say who you are, and prove it
	Forbidden       Code = "forbidden"       // it is known who asks, and he may not
	NotFound        Code = "not found"       // there is no such thing
	Conflict        Code = "conflict"        // there is such a thing already
	Unavailable     Code = "unavailable"     // the database is busy or away; the same request may succeed later
)

// Error is an error that a caller may see.
type Error struct {
	Code     Code
	Detail   string  // one line for a person
	Fields   []Field // of Invalid: what is wrong with each part of the request
	SQLState string  // of Unavailable: PostgreSQL's code, so that failures can be counted by kind; may be empty
	Err      error   // the cause, for the log
}

// Field says what is wrong with one part of a request, in the form that the original's clients know.
type Field struct {
	Loc  []any  `json:"loc"` // "body", "query" or "path", then names and, within lists, numbers
	Msg  string `json:"msg"`
	Type string `json:"type"`
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Detail + ": " + e.Err.Error()
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

// Is says whether err is an Error of this code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Refuse makes an Error of a code and a line for a person.
func Refuse(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }
