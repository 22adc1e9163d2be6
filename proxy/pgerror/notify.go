package pgerror

import "fmt"

// NotificationsMissed is a notice for the clients that listen by way of a connection which has been lost, once there is another one.
var NotificationsMissed = &Error{
	Severity: SeverityNotice, Code: CodeWarning,
	Message: "notifications may have been missed",
	Detail:  "The connection on which weir listens for this client was lost and has been made again.",
	Hint:    "Look for what has changed meanwhile, as after a LISTEN.",
}

// NotificationsNotTaken ends a client that listens and does not read; limit is how many bytes of notifications may wait for it.
func NotificationsNotTaken(limit int) *Error {
	return &Error{
		Severity: SeverityFatal, Code: CodeConfigurationLimit,
		Message: "too many notifications wait for this client",
		Detail:  fmt.Sprintf("It has not read its connection while more than %d bytes of notifications came for it.", limit),
		Hint:    "Read notifications as they come, UNLISTEN what is not needed, or raise max_notification_bytes in [pool].",
	}
}

// Notice is what a client is told by the way. detail may be empty.
func Notice(text, detail string) *Error {
	return &Error{Severity: SeverityNotice, Code: CodeSuccess, Message: text, Detail: detail}
}
