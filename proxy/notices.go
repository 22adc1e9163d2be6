package proxy

import (
	"log/slog"

	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/logline"
)

// serverNotices logs what servers say by the way during weir's logins: that a password expires soon, that md5 is deprecated. Clients
// never see it: it is about the backend's login, which is weir's. Warnings and the rest count together.
type serverNotices struct{ lines *logline.Limited }

func newServerNotices(log *slog.Logger) *serverNotices {
	return &serverNotices{lines: logline.NewLimited(log)}
}

// of is for the logins of one pool. It may be called on any goroutine.
func (n *serverNotices) of(key generation.PoolKey) func(backend.ServerMessage) {
	return func(m backend.ServerMessage) {
		attributes := []any{"pool", key.String(), "severity", m.Severity, "sqlstate", m.Code, "notice", m.Message}
		if m.Detail != "" {
			attributes = append(attributes, "detail", m.Detail)
		}
		level := slog.LevelInfo
		if m.Severity == "WARNING" {
			level = slog.LevelWarn
		}
		n.lines.Log(level, "server's notice during a login", attributes...)
	}
}
