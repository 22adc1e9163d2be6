// Package relay moves bytes between clients and backends on event loops: the steady state of weir.
//
// An Engine is one event loop and what lives on it: lanes, each a pool of backends for one (database, user) pair or a part of one, and the
// lanes' clients. All of a client's and a backend's state is touched by its engine's goroutine alone; other goroutines use
// Engine's exported methods, which post to the loop.
//
// What messages mean is decided by package conversation. The way of a request: Client.OnReady reads into the loop's lent buffer
// (client.go, fromclient.go), conversation judges the bytes, and they go to the backend; a client that needs a backend asks its lane's
// pool, whose decisions lease.go carries out. The way back: Backend.OnReady (frombackend.go) reads, conversation judges, the client
// gets what is its own, and fate.go does what conversation says becomes of the backend. What is left here is sockets, readiness,
// back-pressure, the pool and time.
//
// A pool that has many clients has lanes on several loops (lanes.go): backends go from one to the other by message, as package pool decides, and what the
// lanes share besides is in Lanes.
//
// Transactions that are slow, or traced, are told by watched.go: a backend has what that needs while the one or the other is wanted, and
// a nil pointer otherwise.
//
// Reading happens in OnReady only, never in reaction to something else: the lent buffer has one user at a time.
//
// It may import conversation, eventloop, socket, wire, session, cancelkey, pgerror, status and pool.
package relay
