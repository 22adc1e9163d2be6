package pgerror

import "fmt"

// ProtocolViolation is the general form, for what no other constructor of this file says better. message and detail follow
// the style of the package; detail may be empty.
func ProtocolViolation(message, detail string) *Error {
	return &Error{Severity: SeverityFatal, Code: CodeProtocolViolation, Message: message, Detail: detail}
}

// InvalidMessageType answers a type byte that a client may not send at all, or not now.
func InvalidMessageType(got byte) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		Message: fmt.Sprintf("invalid frontend message type %d", got),
	}
}

// UnexpectedMessage answers another message than the one that must come now; expected names it ("password response").
func UnexpectedMessage(expected string, got byte) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		Message: fmt.Sprintf("expected %s, got message type %d", expected, got),
	}
}

// InvalidMessageLength answers a length word below 4, which does not even hold itself.
func InvalidMessageLength(kind byte, length uint32) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		Message: "invalid message length",
		Detail:  fmt.Sprintf("A message of type %q says that it is %d bytes long; the least is 4.", kind, length),
	}
}

// MessageTooLong answers a length beyond what this type of message may have. limit is in bytes.
func MessageTooLong(kind byte, length, limit uint32) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		Message: "invalid message length",
		Detail:  fmt.Sprintf("A message of type %q says that it is %d bytes long; the most is %d.", kind, length, limit),
	}
}

// InvalidMessageBody answers a message whose body ends before, or goes on after, the fields that it must have.
func InvalidMessageBody(kind byte) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeProtocolViolation,
		Message: "invalid message format",
		Detail:  fmt.Sprintf("The body of a message of type %q does not hold the fields that it must have.", kind),
	}
}
