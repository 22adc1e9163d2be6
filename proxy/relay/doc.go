// Package relay moves bytes between clients and backends on event loops: the steady state of weir.
//
// An Engine is one event loop and what lives on it: lanes, each a pool of backends for one (database, user) pair, and the
// lanes' clients. All of a client's and a backend's state is touched by its engine's goroutine alone; other goroutines use
// Engine's exported methods, which post to the loop.
//
// The way of a request: Client.OnReady reads into the loop's lent buffer and walks the message headers (fromclient.go); a
// client that needs a backend asks its lane's pool, whose decisions lease.go carries out; the bytes go to the backend as they
// came. The way back: Backend.OnReady (frombackend.go) walks the answers, settles the account of package exchange, forwards
// in as few writes as there were reads, and releases the backend when the account says that it is free.
//
// Reading happens in OnReady only, never in reaction to something else: the lent buffer has one user at a time.
//
// It may import eventloop, socket, wire, exchange, session, sqlscan, cancelkey, pgerror, status and pool.
package relay
