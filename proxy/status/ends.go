package status

// ClientEnd is why a client's connection has ended.
type ClientEnd uint8

// The ends of clients, in the order of the metrics.
const (
	ClientStays              ClientEnd = iota
	ClientTerminated                   // it has said goodbye
	ClientClosed                       // it has closed its connection without that
	ClientReset                        // the connection has broken
	ClientIdleTimeout                  // client_idle_timeout
	ClientIdleInTransaction            // idle_transaction_timeout
	ClientTransactionTimeout           // transaction_timeout
	ClientStallTimeout                 // client_stall_timeout
	ClientQueryTimeout                 // query_timeout, and the server did not cancel
	ClientBackendLost                  // its backend has ended while it worked for it
	ClientRefused                      // no backend could be had for its login, or its settings were refused
	ClientViolation                    // it has broken the protocol
	ClientShutdown                     // weir stops, or an operator has ended it
	ClientOther                        // any other error that weir has told it
	ClientEnds                         // how many there are
)

func (e ClientEnd) String() string {
	return [...]string{
		"", "terminate", "closed", "reset", "client_idle_timeout", "idle_transaction_timeout", "transaction_timeout", "client_stall_timeout", "query_timeout",
		"backend_lost", "refused", "protocol_violation", "shutdown", "other",
	}[e]
}

// BackendEnd is why a backend has ended.
type BackendEnd uint8

// The ends of backends, in the order of the metrics.
const (
	BackendStays       BackendEnd = iota
	BackendLost                   // without weir's doing: the server has ended it, or the connection has broken
	BackendLifetime               // server_lifetime
	BackendIdleTimeout            // server_idle_timeout
	BackendPoolIdle               // its pool has had no client for pool_idle_timeout, or it was in the way of a DROP DATABASE
	BackendSurplus                // beyond pool_size, for the sake of another pool, or by order
	BackendRetired                // its session could not be made fit for another client
	BackendTooLong                // it did not end what a client had left
	BackendDoubted                // its messages made no sense
	BackendShutdown               // weir stops
	BackendEnds                   // how many there are
)

func (e BackendEnd) String() string {
	return [...]string{
		"", "server", "server_lifetime", "server_idle_timeout", "pool_idle", "surplus", "retired", "too_long", "doubt", "shutdown",
	}[e]
}

// Timeout is a limit in time that a client has met.
type Timeout uint8

// The limits, in the order of the metrics.
const (
	QueryWaitTimeout Timeout = iota
	QueryTimeout
	TransactionTimeout
	IdleTransactionTimeout
	IdleClientTimeout
	StalledClientTimeout
	Timeouts // how many there are
)

func (t Timeout) String() string {
	return [...]string{"query_wait_timeout", "query_timeout", "transaction_timeout", "idle_transaction_timeout", "client_idle_timeout", "client_stall_timeout"}[t]
}

// DialEnd is what has become of an attempt to get a backend.
type DialEnd uint8

// The outcomes, in the order of the metrics.
const (
	DialOK        DialEnd = iota
	DialRefused           // what the client named is wrong: no such database or role, no way in (3D000, class 28)
	DialFull              // the server has no place left (53300)
	DialFailed            // all else: the server cannot be reached, or does not let weir in
	DialAbandoned         // weir has given it up: the pool was paused, or its backends come from elsewhere now
	DialEnds              // how many there are
)

func (e DialEnd) String() string {
	return [...]string{"ok", "refused", "full", "failed", "abandoned"}[e]
}
