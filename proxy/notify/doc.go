// Package notify is the state machine of a pool's listener connection: one connection that has said LISTEN for any number of clients.
// Which clients are subscribed to which channels, what the connection must say next, what becomes of the notifications that it gets,
// and what is done when it is lost.
//
// A client's own LISTEN goes to the backend that the client has, so the backend is the first source of its notifications. Before the backend
// leaves, the client is handed over to the listener connection, and taken on again by the next backend that needs to listen itself. Each
// handing over is a switch from one stream of notifications to the other, and no notification may be lost, come twice or out of order. So
// the backend sends a notification of weir's own, a mark, while both listen to its channel. PostgreSQL gives all sessions the same order:
// what stands before the mark is taken from the old stream, what stands after it from the new one.
//
// A pool may have clients on several loops. Each has a Hub, and they share the connection, a Line: what goes between a Hub and the Line may
// take any time, as long as it keeps its order.
//
// The package is pure: bytes of the connection go in, time is passed in, and the caller dials, writes, closes and delivers. A Hub and its
// Subscribers belong to one loop, a Line to one. It may import proxy/pgerror, proxy/wire and the standard library without net, os, time, sync and log/slog.
package notify
