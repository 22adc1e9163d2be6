package proxy

import (
	"log/slog"
	"time"

	"weir/proxy/backend"
)

// serverNotices logs what servers say by the way during weir's logins: that a password expires soon, that md5 is deprecated. Clients
// never see it: it is about the backend's login, which is weir's.
type serverNotices struct {
	log   *slog.Logger
	lines limiter
}

// of is for the logins of one pool. It may be called on any goroutine.
func (n *serverNotices) of(key poolKey) func(backend.ServerMessage) {
	return func(m backend.ServerMessage) {
		leftOut, ok := n.lines.allow("notice", time.Now())
		if !ok {
			return
		}
		attributes := []any{"pool", key.database + "/" + key.user, "severity", m.Severity, "sqlstate", m.Code, "notice", m.Message}
		if m.Detail != "" {
			attributes = append(attributes, "detail", m.Detail)
		}
		if leftOut > 0 {
			attributes = append(attributes, "lines_left_out", leftOut)
		}
		if m.Severity == "WARNING" {
			n.log.Warn("server's notice during a login", attributes...)
		} else {
			n.log.Info("server's notice during a login", attributes...)
		}
	}
}
