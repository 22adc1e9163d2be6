// Package conversation is the engine of what a client and a backend say to each other while the one has the other: both streams'
// framing, what is due, what the client's statements are called on the backend, what they may do to its session, and so whether
// the backend may go to another client.
//
// It is pure: no sockets, no clock, no loop, no pool. Bytes go in; what comes out is which of them are forwarded, changed, swallowed
// or put in, and a word for what the caller must do next. The state of a client is a Client, that of a backend a Server; Lease and
// Part join and part them. A caller
//
//   - gives bytes of the client's to Client.FromClient, sends what the Flow holds to the backend, and does what the Need says;
//   - gives bytes of the server's to Server.FromServer, sends what the Flow holds to the client, and does what the Event says;
//   - after EventReady, and whenever it has changed something else, asks Server.Fate what becomes of the backend;
//   - starts an Errand where that is called for.
//
// What is forwarded has been entered by the time a call returns; when it is written, or how reads come about, is the caller's affair. Both
// parts of a conversation belong to one loop.
//
// The parts are machines of their own: package exchange (what is due), package prepared (statements), ledger.go (what statements
// under way do), framing in fromclient.go and fromserver.go, errand.go (weir's own questions), listen.go (who
// listens for the client), sequences.go (whose values currval tells), refusal.go (requests that no server gets).
//
// It may import wire, exchange, notify, prepared, session, sqlscan, pgerror and the standard library without net, os, time, sync and log/slog.
package conversation
