package generation

import (
	"fmt"
	"time"

	"weir/config"
	"weir/pool"
	"weir/proxy/backend"
	"weir/proxy/conversation"
	"weir/proxy/hosts"
	"weir/proxy/relay"
)

// ownUser reports whether a pool is that of a database with a user of its own: the configuration alone asks for such a pool.
func (g *Generation) ownUser(key PoolKey) bool {
	d, own := g.Config.Databases[key.Database]
	return own && key.Database != config.AnyDatabase && d.User == key.User
}

// LaneSettings are what holds for a pool.
func (g *Generation) LaneSettings(key PoolKey) relay.LaneSettings {
	s := g.Config.PoolSettings(key.Database, key.User)
	d, _ := g.Config.Database(key.Database)
	return relay.LaneSettings{
		User: key.User, Mode: relayMode(s.Mode),
		Pool: pool.Config{
			Size: s.PoolSize, MinSize: s.MinPoolSize, ReserveSize: s.ReservePoolSize, MaxDials: s.MaxDials, KeepMin: g.ownUser(key), RoundRobin: s.ServerRoundRobin,
			ReserveTimeout: time.Duration(s.ReservePoolTimeout), QueryWaitTimeout: time.Duration(s.QueryWaitTimeout),
			ServerLifetime: time.Duration(s.ServerLifetime), ServerIdleTimeout: time.Duration(s.ServerIdleTimeout),
			PoolIdleTimeout: time.Duration(s.PoolIdleTimeout), ServerLoginRetry: time.Duration(s.ServerLoginRetry),
			Patient: d.TargetSession != config.TargetAny || g.Config.PgBouncer,
		},
		SizeSection: g.Section("pool_size", key), MaxStatements: s.MaxPrepared, MaxPreparedBytes: int(s.MaxPreparedBytes), ResetQuery: s.ServerResetQuery,
		State: sessionState(s.SessionState), MaxPinned: s.MaxPinned, PinIdleTimeout: time.Duration(s.PinIdleTimeout),
		Functions: g.functions, Login: fmt.Sprint(s.ConnectQuery, "\x00", s.Settings),
		ListenLostChannel: s.ListenLostChannel, MaxNotificationBytes: int(s.MaxNotificationBytes),
		ResetAlways: s.ServerResetAlways, CheckQuery: s.ServerCheckQuery, CheckDelay: time.Duration(s.ServerCheckDelay), FastClose: s.ServerFastClose,
		FastCloseSection: g.Section("server_fast_close", key),
		PacketMax:        int(g.Config.Limits.MaxPacketSize), NoSimple: !g.Config.Clients.SimpleQuery,
		Audit:             relayAudit(s.SessionAudit),
		Fits:              fits(d.TargetSession),
		CancelWaitTimeout: time.Duration(g.Config.Timeouts.CancelWaitTimeout),
	}
}

// fits says which servers may go on serving a pool when their role has changed.
func fits(attrs config.TargetSession) func(standby bool) bool {
	if attrs == config.TargetAny || attrs == config.TargetPreferStandby {
		return nil
	}
	return func(standby bool) bool { return hosts.Suits(attrs, backend.Role{Known: true, Standby: standby}) }
}

func relayMode(m config.PoolMode) relay.Mode {
	switch m {
	case config.ModeSession:
		return relay.Session
	case config.ModeStatement:
		return relay.Statement
	default:
		return relay.Transaction
	}
}

func sessionState(s config.SessionState) conversation.SessionState {
	switch s {
	case config.StateReject:
		return conversation.StateRefused
	case config.StateIgnore:
		return conversation.StateIgnored
	default:
		return conversation.StateFollows
	}
}

func relayAudit(a config.SessionAudit) conversation.Audit {
	switch a {
	case config.AuditAlways:
		return conversation.AuditAlways
	case config.AuditOff:
		return conversation.AuditOff
	default:
		return conversation.AuditLearn
	}
}
