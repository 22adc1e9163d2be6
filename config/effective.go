package config

// Override holds what a database or a user says for itself. nil: nothing, so the next in order decides. Which of
// them may stand where is in the table of settings; what may not is always nil.
type Override struct {
	Mode                 *PoolMode
	PoolSize             *int
	MinPoolSize          *int
	ReservePoolSize      *int
	ReservePoolTimeout   *Duration
	MaxDials             *int
	MaxPrepared          *int
	MaxPreparedBytes     *Size
	ConnectQuery         *string
	SessionState         *SessionState
	MaxPinned            *int
	PinIdleTimeout       *Duration
	ServerResetQuery     *string
	ServerResetAlways    *bool
	ServerCheckQuery     *string
	ServerCheckDelay     *Duration
	ServerFastClose      *bool
	SessionAudit         *SessionAudit
	ListenLostChannel    *string
	MaxNotificationBytes *Size
	MaxProtocol          *ProtocolVersion

	MaxDBConnections         *int
	MaxUserConnections       *int
	MaxDBClientConnections   *int
	MaxUserClientConnections *int

	QueryWaitTimeout       *Duration
	ServerLifetime         *Duration
	PoolIdleTimeout        *Duration
	ClientIdleTimeout      *Duration
	ClientStallTimeout     *Duration
	QueryTimeout           *Duration
	IdleTransactionTimeout *Duration
	TransactionTimeout     *Duration

	AuthUser   *string
	AuthQuery  *string
	AuthDBName *string

	SlowWait        *Duration
	SlowTransaction *Duration
}

// PoolSettings are the values that hold for one pool and its clients, after all overrides.
type PoolSettings struct {
	Pool
	Settings SessionDefaults // of its backends

	MaxDBConnections         int // 0: no limit, as for the next three
	MaxUserConnections       int
	MaxDBClientConnections   int
	MaxUserClientConnections int

	// 0: off, save for ServerLoginRetry; as in Timeouts.
	QueryWaitTimeout       Duration
	ServerLifetime         Duration
	ServerIdleTimeout      Duration
	PoolIdleTimeout        Duration
	ServerConnectTimeout   Duration
	ServerLoginRetry       Duration
	ClientIdleTimeout      Duration
	ClientStallTimeout     Duration
	QueryTimeout           Duration
	IdleTransactionTimeout Duration
	TransactionTimeout     Duration

	// 0: not logged.
	SlowWait        Duration
	SlowTransaction Duration

	// How users are looked up that weir does not know itself; AuthUser "" is not at all.
	AuthUser   string
	AuthQuery  string
	AuthDBName string
}

// PoolSettings returns what holds for a database (by the name that clients ask for) and a user. The order is
// PgBouncer's: what the user says, else what the database says (of that name, or "*"), else [pool], [limits] and
// [timeouts]. Unknown names say nothing. MinPoolSize is at most PoolSize, wherever each was set.
//
// Where a database has a user of its own for its backends, there are two users: ask with the backends' user for
// what concerns the pool, with the client's for what concerns the client (its timeouts and its client limits).
func (c *Config) PoolSettings(database, user string) PoolSettings {
	resolved, _ := c.Database(database)
	s := c.effective(resolved.Override, c.Users[user].Override)
	s.Settings = resolved.Settings.under(c.Users[user].Settings)
	return s
}

func (c *Config) effective(d, u Override) PoolSettings {
	s := PoolSettings{
		Pool: Pool{
			Mode:                 first(u.Mode, d.Mode, c.Pool.Mode),
			PoolSize:             first(u.PoolSize, d.PoolSize, c.Pool.PoolSize),
			MinPoolSize:          first(u.MinPoolSize, d.MinPoolSize, c.Pool.MinPoolSize),
			ReservePoolSize:      first(u.ReservePoolSize, d.ReservePoolSize, c.Pool.ReservePoolSize),
			ReservePoolTimeout:   first(u.ReservePoolTimeout, d.ReservePoolTimeout, c.Pool.ReservePoolTimeout),
			MaxDials:             first(u.MaxDials, d.MaxDials, c.Pool.MaxDials),
			MaxPrepared:          first(u.MaxPrepared, d.MaxPrepared, c.Pool.MaxPrepared),
			MaxPreparedBytes:     first(u.MaxPreparedBytes, d.MaxPreparedBytes, c.Pool.MaxPreparedBytes),
			ConnectQuery:         first(u.ConnectQuery, d.ConnectQuery, c.Pool.ConnectQuery),
			SessionState:         first(u.SessionState, d.SessionState, c.Pool.SessionState),
			MaxPinned:            first(u.MaxPinned, d.MaxPinned, c.Pool.MaxPinned),
			PinIdleTimeout:       first(u.PinIdleTimeout, d.PinIdleTimeout, c.Pool.PinIdleTimeout),
			ServerResetQuery:     first(u.ServerResetQuery, d.ServerResetQuery, c.Pool.ServerResetQuery),
			ServerResetAlways:    first(u.ServerResetAlways, d.ServerResetAlways, c.Pool.ServerResetAlways),
			ServerCheckQuery:     first(u.ServerCheckQuery, d.ServerCheckQuery, c.Pool.ServerCheckQuery),
			ServerCheckDelay:     first(u.ServerCheckDelay, d.ServerCheckDelay, c.Pool.ServerCheckDelay),
			ServerFastClose:      first(u.ServerFastClose, d.ServerFastClose, c.Pool.ServerFastClose),
			ServerRoundRobin:     c.Pool.ServerRoundRobin,
			SessionAudit:         first(u.SessionAudit, d.SessionAudit, c.Pool.SessionAudit),
			ListenLostChannel:    first(u.ListenLostChannel, d.ListenLostChannel, c.Pool.ListenLostChannel),
			MaxNotificationBytes: first(u.MaxNotificationBytes, d.MaxNotificationBytes, c.Pool.MaxNotificationBytes),
			MaxProtocol:          first(u.MaxProtocol, d.MaxProtocol, c.Pool.MaxProtocol),
		},
		MaxDBConnections:         first(u.MaxDBConnections, d.MaxDBConnections, c.Limits.MaxDBConnections),
		MaxUserConnections:       first(u.MaxUserConnections, d.MaxUserConnections, c.Limits.MaxUserConnections),
		MaxDBClientConnections:   first(u.MaxDBClientConnections, d.MaxDBClientConnections, c.Limits.MaxDBClientConnections),
		MaxUserClientConnections: first(u.MaxUserClientConnections, d.MaxUserClientConnections, c.Limits.MaxUserClientConnections),
		QueryWaitTimeout:         first(u.QueryWaitTimeout, d.QueryWaitTimeout, c.Timeouts.QueryWaitTimeout),
		ServerLifetime:           first(u.ServerLifetime, d.ServerLifetime, c.Timeouts.ServerLifetime),
		ServerIdleTimeout:        c.Timeouts.ServerIdleTimeout,
		PoolIdleTimeout:          first(u.PoolIdleTimeout, d.PoolIdleTimeout, c.Timeouts.PoolIdleTimeout),
		ServerConnectTimeout:     c.Timeouts.ServerConnectTimeout,
		ServerLoginRetry:         c.Timeouts.ServerLoginRetry,
		ClientIdleTimeout:        first(u.ClientIdleTimeout, d.ClientIdleTimeout, c.Timeouts.ClientIdleTimeout),
		ClientStallTimeout:       first(u.ClientStallTimeout, d.ClientStallTimeout, c.Timeouts.ClientStallTimeout),
		QueryTimeout:             first(u.QueryTimeout, d.QueryTimeout, c.Timeouts.QueryTimeout),
		IdleTransactionTimeout:   first(u.IdleTransactionTimeout, d.IdleTransactionTimeout, c.Timeouts.IdleTransactionTimeout),
		TransactionTimeout:       first(u.TransactionTimeout, d.TransactionTimeout, c.Timeouts.TransactionTimeout),
		SlowWait:                 first(u.SlowWait, d.SlowWait, c.Log.SlowWait),
		SlowTransaction:          first(u.SlowTransaction, d.SlowTransaction, c.Log.SlowTransaction),
		AuthUser:                 first(u.AuthUser, d.AuthUser, c.Auth.AuthUser),
		AuthQuery:                first(u.AuthQuery, d.AuthQuery, c.Auth.AuthQuery),
		AuthDBName:               first(u.AuthDBName, d.AuthDBName, c.Auth.AuthDBName),
	}
	s.MinPoolSize = min(s.MinPoolSize, s.PoolSize)
	return s
}

// first is the order of precedence.
func first[T any](user, database *T, global T) T {
	switch {
	case user != nil:
		return *user
	case database != nil:
		return *database
	}
	return global
}
