package pgerror

import (
	"fmt"
	"strconv"
	"time"
)

// Pin is why a backend stays with its client.
type Pin struct {
	Reasons   string        // "temporary object, listen"
	Held      time.Duration // since it was pinned
	Statement string        // the beginning of the one that pinned it; "" if not known
}

func (p Pin) String() string {
	text := p.Reasons + " for " + p.Held.Round(time.Second).String()
	if p.Statement != "" {
		text += ", by " + strconv.QuoteToASCII(p.Statement)
	}
	return text
}

// PinIdleTimeout ends a client whose session state kept a backend that it did not use.
func PinIdleTimeout(after time.Duration, p Pin) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeIdleSessionTimeout,
		Message: "terminating connection due to pin_idle_timeout",
		Detail:  "The session keeps a backend to itself: " + p.String() + ".",
		Hint:    fmt.Sprintf("End such state before the session is idle for long, or raise pin_idle_timeout (%s).", after),
	}
}

// TooManyPinned is for a client whose state would keep one more backend than a pool may have pinned.
func TooManyPinned(pool string, limit int, statement string, oldest Pin) *Error {
	e := &Error{
		Severity: SeverityError, Code: CodeConfigurationLimit,
		Message: "too many backends of pool " + pool + " are kept by session state",
		Hint:    fmt.Sprintf("Raise max_pinned (%d), or do without session state in this pool.", limit),
	}
	if statement != "" {
		e.Detail = "Refused: " + strconv.QuoteToASCII(statement) + ". "
	}
	e.Detail += "Longest kept: " + oldest.String() + "."
	return e
}

// SessionStateRefused answers a statement that would change the session, where session_state is "reject". what is its kind.
func SessionStateRefused(what, statement string) *Error {
	return &Error{
		Severity: SeverityError, Code: CodeNotSupported,
		Message: what + " is refused in this pool",
		Detail:  "The statement changes the state of the session: " + strconv.QuoteToASCII(statement) + ".",
		Hint:    `Use SET LOCAL and other means that end with the transaction, or set session_state = "follow" for this database or user.`,
	}
}
