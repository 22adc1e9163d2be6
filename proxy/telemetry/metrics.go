package telemetry

import "github.com/prometheus/client_golang/prometheus"

// metric declares one family: docs/metrics.md and the collector's descriptors are made from these lines.
type metric struct {
	name   string
	kind   kind
	labels []string
	help   string
}

type kind uint8

const (
	gauge kind = iota
	counter
	histogram
)

func (k kind) String() string { return [...]string{"gauge", "counter", "histogram"}[k] }

// poolLabels name a pool; see label.go for what bounds their length and number.
var poolLabels = []string{"database", "user"}

func pool(more ...string) []string { return append(append([]string(nil), poolLabels...), more...) }

// The families. Names follow Prometheus's rules: base units, _total for counters only.
var (
	up             = metric{"weir_start_time_seconds", gauge, nil, "When weir started, in seconds since the epoch."}
	clients        = metric{"weir_clients", gauge, pool("state"), "Clients by what they do: idle, waiting for a backend, active with one, login (waiting for their first backend's parameters), closing."}
	backends       = metric{"weir_backends", gauge, pool("state"), "Backends by what they do: idle, active, dialling, cleaning (their client is gone), held (a cancel request is under way)."}
	inTransaction  = metric{"weir_backends_idle_in_transaction", gauge, poolLabels, "Active backends whose client is inside a transaction and asks for nothing."}
	pinned         = metric{"weir_backends_pinned", gauge, poolLabels, "Active backends that session state keeps with their client: a temporary table, LISTEN, SQL's PREPARE, ..."}
	pinnedBy       = metric{"weir_backends_pinned_by", gauge, pool("reason"), "Pinned backends by what pins them; one may count for several reasons. SHOW PINS names their clients."}
	waiting        = metric{"weir_waiting_clients", gauge, poolLabels, "Clients in the queue for a backend; weir_clients has the same number as a state."}
	oldestWait     = metric{"weir_oldest_wait_seconds", gauge, poolLabels, "How long the client at the head of the queue has waited."}
	oldestLease    = metric{"weir_oldest_lease_seconds", gauge, poolLabels, "How long the client that has had its backend longest has had it."}
	poolSize       = metric{"weir_pool_size_backends", gauge, poolLabels, "pool_size: how many backends the pool may have, reserve aside."}
	minPoolSize    = metric{"weir_pool_min_size_backends", gauge, poolLabels, "min_pool_size."}
	reserveSize    = metric{"weir_pool_reserve_size_backends", gauge, poolLabels, "reserve_pool_size."}
	limitBackends  = metric{"weir_limit_backends", gauge, pool("limit"), "max_db_connections (for all pools of the database together) and max_user_connections (for all of the user), where they are set; sum weir_backends by database or by user to see how many there are."}
	limitClients   = metric{"weir_limit_clients", gauge, pool("limit"), "max_db_client_connections and max_user_client_connections, likewise: of weir_clients. A database with a user of its own for its backends has that user here."}
	parked         = metric{"weir_parked_bytes", gauge, poolLabels, "Bytes in weir's memory that wait for a slow socket or for a backend."}
	serverTrouble  = metric{"weir_server_down", gauge, poolLabels, "1 while the pool's last attempt to get a backend has failed for a reason that is the server's or the network's. What the client named (3D000, class 28) and a full server (53300) are none: see weir_dials_total."}
	waits          = metric{"weir_wait_seconds", histogram, poolLabels, "Time from a client's asking for a backend until it got one, or was refused."}
	queries        = metric{"weir_query_seconds", histogram, poolLabels, "Time from forwarding a request until the server was ready for the next."}
	transactions   = metric{"weir_transaction_seconds", histogram, poolLabels, "Time from a transaction's first request to its end."}
	dials          = metric{"weir_dial_seconds", histogram, poolLabels, "Time to connect and log in to the server."}
	queriesTotal   = metric{"weir_queries_total", counter, poolLabels, "Queries sent to servers: Query and Execute messages."}
	txTotal        = metric{"weir_transactions_total", counter, poolLabels, "Transactions that ended."}
	txCut          = metric{"weir_transactions_unfinished_total", counter, pool("reason"), "Transactions, single statements included, that did not come to their end: client_left (the client has gone in the middle of it, or was sent away; weir has rolled back what was open), backend_lost."}
	leasesTotal    = metric{"weir_leases_total", counter, poolLabels, "How often a client got a backend."}
	switchesTotal  = metric{"weir_settings_switches_total", counter, poolLabels, "Leases for which the client's settings had to be applied to the backend first."}
	transfersTotal = metric{"weir_transfers_total", counter, poolLabels, "How often a backend went from one event loop to another, where clients waited for longer."}
	bytesTotal     = metric{"weir_client_bytes_total", counter, pool("direction"), "Bytes from clients (in) and to clients (out)."}
	dialsTotal     = metric{"weir_dials_total", counter, pool("outcome"), "Attempts to get a backend: ok; refused (what the client named is wrong: 3D000, class 28); full (the server has no place left: 53300); abandoned (weir has given it up for a PAUSE, or because backends come from elsewhere now); failed (all else)."}
	closedTotal    = metric{"weir_backends_closed_total", counter, pool("reason"), "Backends that ended: server (without weir's doing), server_lifetime, server_idle_timeout, pool_idle (no client for pool_idle_timeout), surplus (beyond pool_size, for the sake of another pool, or by order: PAUSE, RECONNECT, KILL, another server in the configuration), retired (not fit for another client), too_long (what a client had left did not end), doubt, shutdown."}
	errorsTotal    = metric{"weir_server_errors_total", counter, pool("sqlstate"), "Errors that the server sent, by SQLSTATE; other: those beyond the 64 that came first."}
	refusedTotal   = metric{"weir_errors_total", counter, pool("sqlstate"), "Errors that weir itself sent to clients that were logged in."}
	waitsFailed    = metric{"weir_waits_failed_total", counter, pool("reason"), "Waits for a backend that ended in an error: query_wait_timeout, refused (what the client named is wrong), server (it cannot be reached or does not let weir in, or weir stops)."}
	timeoutsTotal  = metric{"weir_timeouts_total", counter, pool("setting"), "Limits in time that clients have met, by setting."}
	clientsClosed  = metric{"weir_clients_closed_total", counter, pool("reason"), "Clients that left: terminate (said goodbye), closed (without a word), reset (the connection broke), a timeout's setting, backend_lost, refused (their login got no backend, or their settings were refused), protocol_violation, shutdown, other."}
	texts          = metric{"weir_prepared_texts", gauge, poolLabels, "Texts of named prepared statements that clients share."}
	statements     = metric{"weir_prepared_statements", gauge, poolLabels, "Named prepared statements that backends hold, each counted on each."}
	parsesTotal    = metric{"weir_prepared_parses_total", counter, pool("by"), "Parses of named statements: passed on for a client, saved because the backend held the statement, repeated by weir because a client used it on another backend."}
	preparedClosed = metric{"weir_prepared_closed_total", counter, poolLabels, "Named statements that weir closed on a backend to make room (max_prepared_statements)."}
	listenUp       = metric{"weir_listen_connections", gauge, poolLabels, "Connections that listen for the pool's clients: 0 or 1."}
	listenClients  = metric{"weir_listen_clients", gauge, poolLabels, "Clients that listen by way of that connection, and need no backend for it."}
	listenChannels = metric{"weir_listen_channels", gauge, poolLabels, "Channels that they listen to."}
	listenTotal    = metric{"weir_notifications_total", counter, poolLabels, "Notifications that clients were sent, each counted for each client."}
	listenAgain    = metric{"weir_listen_reconnections_total", counter, poolLabels, "How often the connection that listens was lost and made again; its clients were told."}
	preparedStale  = metric{"weir_prepared_forgotten_total", counter, poolLabels, "Texts that are shared no longer, because the schema has changed."}
	questionsTotal = metric{"weir_state_questions_total", counter, pool("outcome"), "Backends that were asked what state their session is in: answered, or refused by the server."}
	unaskedTotal   = metric{"weir_state_unasked_total", counter, poolLabels, "Transactions with statements that are not known yet after which no backend was asked, because questions had taken their share of the time."}
	learntTotal    = metric{"weir_state_statements_learnt_total", counter, poolLabels, "Statements that were found to leave state in the session although their text does not say so."}
	leaksTotal     = metric{"weir_state_leaks_total", counter, pool("kind"), "Session state that a sample found and that other clients may have seen: setting, advisory lock, ... The backend was closed."}
	cancelsTotal   = metric{"weir_cancels_total", counter, poolLabels, "Cancel requests that reached a query of this pool."}
	resetsTotal    = metric{"weir_backend_resets_total", counter, poolLabels, "Backends whose session state was reset after a client."}
	doubtsTotal    = metric{"weir_doubts_total", counter, pool("kind"), "Backends that were closed for want of certainty: stream (the server's messages make no sense), account (it is not certain what is due), panic (weir's own code met a state that it takes for impossible)."}
	servedTotal    = metric{"weir_logins_total", counter, poolLabels, "Clients that logged in."}
	loginsNow      = metric{"weir_logins_in_progress", gauge, nil, "Connections that are not logged in yet."}
	loginsFailed   = metric{"weir_logins_failed_total", counter, []string{"reason"}, "Logins that failed, by reason: malformed, tls, unsupported (a version of the protocol), timeout, shutdown, no_such_user, wrong_password, not_allowed (by a rule, or to use the console), wrong_identity, lookup_failed, unknown_database, bad_setting, full, refused; and gone: the peer left by itself before the end, as port checks do, psql that has to ask for a password first, and drivers that come anew without TLS."}
	lookupsTotal   = metric{"weir_auth_lookups_total", counter, []string{"outcome"}, "Users looked up with auth_query: kept (answered from memory), found, unknown, failed (the lookup had no answer)."}
	acceptedTotal  = metric{"weir_connections_accepted_total", counter, nil, "Connections taken from the listeners."}
	shedTotal      = metric{"weir_connections_shed_total", counter, nil, "Connections that did not go on with their login and were closed to make room for others (max_logins), and those that found no room."}
	cancelRequests = metric{"weir_cancel_requests_total", counter, nil, "Cancel requests that came in, whether or not they found something to cancel."}
	peersPassed    = metric{"weir_peer_cancels_passed_total", counter, nil, "Cancel requests of other peers' clients that were passed on, and that the peer has had."}
	peersReceived  = metric{"weir_peer_cancels_received_total", counter, nil, "Cancel requests for this weir that came by way of a peer."}
	peersFailed    = metric{"weir_peer_cancels_failed_total", counter, []string{"reason"}, "Cancel requests with another peer's key that were not passed on: unknown peer, hops (they had made as many as they may), full (too many at once), unreachable, unanswered (the peer did not close the connection in time)."}
	linesDropped   = metric{"weir_log_lines_dropped_total", counter, nil, "Lines of the log that were dropped: the reader of standard error did not take them, or has ended."}
	tracedTotal    = metric{"weir_traced_transactions_total", counter, []string{"outcome"}, "Transactions that were traced: sent (the collector has taken their spans), dropped (there was no room, because it had not taken others), failed (it was not reached, or has refused them)."}
	maxLogins      = metric{"weir_max_logins", gauge, nil, "max_logins, or what the limit of open files leaves of it."}
	clientsNow     = metric{"weir_client_connections", gauge, nil, "Connections that count against max_client_conn: clients, those for replication, and those that have a place and are about to be clients."}
	maxClients     = metric{"weir_max_clients", gauge, nil, "max_client_conn."}
	replicas       = metric{"weir_replication_connections", gauge, poolLabels, "Connections for replication that are open, each with a backend of its own beside the pools."}
	replicasTotal  = metric{"weir_replication_connections_total", counter, poolLabels, "Connections for replication that were opened."}
	replicaBytes   = metric{"weir_replication_bytes_total", counter, pool("direction"), "Bytes from clients that replicate (in) and to them (out)."}
	hostUp         = metric{"weir_host_up", gauge, []string{"host", "address"}, "1 while the last attempt to log in to the server has reached it; the address is empty unless a name has several and each counts for itself. At most 256 servers."}
	hostStandby    = metric{"weir_host_standby", gauge, []string{"host", "address"}, "1 if the server was a standby at the last login, 0 if it was not; no value while that is not known."}
	hostBackends   = metric{"weir_host_backends", gauge, []string{"host", "address"}, "Backends at the server, of all pools."}
	hostFailures   = metric{"weir_host_failures_total", counter, []string{"host", "address"}, "Attempts to log in to the server that failed."}
	certificates   = metric{"weir_certificate_expires_timestamp_seconds", gauge, []string{"section", "file"}, "When a certificate that weir shows to clients or servers expires, in Unix time; by the section of the configuration that names it. Its file is looked at for each scrape."}
	loopPolls      = metric{"weir_loop_polls_total", counter, []string{"loop"}, "How often an event loop asked the kernel for events, sleeping while there are none."}
	loopCalls      = metric{"weir_loop_socket_calls_total", counter, []string{"loop", "call"}, "System calls on sockets: read, write."}
	loopBytes      = metric{"weir_loop_socket_bytes_total", counter, []string{"loop", "call"}, "Bytes that these calls moved, clients and servers together."}
)

// families is all of them, in the order of the documentation.
var families = []*metric{
	&clients, &waiting, &oldestWait, &oldestLease, &backends, &inTransaction, &pinned, &pinnedBy, &poolSize, &minPoolSize, &reserveSize, &limitBackends, &limitClients, &serverTrouble, &parked,
	&waits, &queries, &transactions, &dials,
	&texts, &statements, &parsesTotal, &preparedClosed, &preparedStale, &questionsTotal, &unaskedTotal, &learntTotal, &leaksTotal,
	&listenUp, &listenClients, &listenChannels, &listenTotal, &listenAgain,
	&queriesTotal, &txTotal, &txCut, &leasesTotal, &switchesTotal, &transfersTotal, &bytesTotal, &errorsTotal, &refusedTotal, &waitsFailed, &timeoutsTotal,
	&cancelsTotal, &dialsTotal, &closedTotal, &resetsTotal, &doubtsTotal,
	&servedTotal, &clientsClosed, &loginsNow, &maxLogins, &loginsFailed, &lookupsTotal, &acceptedTotal, &shedTotal, &cancelRequests, &peersPassed, &peersReceived, &peersFailed, &clientsNow, &maxClients,
	&hostUp, &hostStandby, &hostBackends, &hostFailures, &certificates,
	&replicas, &replicasTotal, &replicaBytes, &linesDropped, &tracedTotal,
	&loopPolls, &loopCalls, &loopBytes, &up,
}

func (m *metric) desc() *prometheus.Desc { return prometheus.NewDesc(m.name, m.help, m.labels, nil) }
