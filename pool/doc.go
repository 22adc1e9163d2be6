// Package pool decides which backend serves which client of one pool, that
// is, of one (database, user) pair. It is a pure state machine: events go in
// as method calls, decisions come out of Decisions, and the same configuration,
// seed and events give the same decisions. It has no sockets, goroutines, locks
// or clock, and imports the standard
// library and its own board only. A Pool belongs to one event
// loop, which alone calls it.
//
// # What the caller owes
//
//  1. After every event, carry out all of Decisions, in order, before the next
//     event. An event that arises meanwhile (a dial that a limit refuses at
//     once) is reported after the last decision. A Dial decision is answered by
//     exactly one Dialled or DialFailed, whatever the pool says meanwhile.
//  2. Call Tick no later than Next says, as near to it as the loop's timers
//     are. Next may move forward with any event. Early, late and superfluous
//     ticks do no harm. A new pool wants its first Tick at once if it has a
//     minimum size.
//  3. Pass an Instant that never runs backwards; an earlier one counts as the
//     latest seen.
//  4. After a Close decision the backend does not exist for the pool any more:
//     report nothing about it. Its number may come back in a Dial decision of a
//     later event, never of the same one.
//  5. A leased backend is the caller's, in whatever shape, until it says Freed
//     (clean, owes no answer), Lost or Discard. The pool does not know who holds it.
//
// Misuse panics in the words of the misuse.
//
// # When a pool has several lanes
//
// Then each is a Pool on a loop of its own, made by NewLane, and they have a board.Board. The caller carries their messages: Give takes a backend to the
// lane that is named (Departed here, Arrived there), Ask and Wake are reported there by Asked and Woken, in any order and as late as may be, but all of
// them. Rest is answered by Rested here, once the loop has served what it had been told of. A lane that is Deserted may End; the first one ends last.
// Between lanes the oldest waiter is served first as far as that is worth a transfer: see lanes.go.
//
// # Who is served
//
// Waiters of a lane are served first come, first served, without exception; no client waits
// while a backend of its lane is idle, so a new client cannot overtake. Among idle backends
// the most recently used goes first: its caches are warm, and those at the
// bottom get old enough for server_idle_timeout. A backend that already has the
// client's settings is preferred among the top few (settingsLookahead).
//
// # When a backend is dialled
//
// The pool dials once for each waiter that no dial under way will serve, nor a backend
// that is Coming free within a tenth of a second, and to
// fill up to MinSize (while there are clients; with KeepMin always, from the
// first Tick on). It dials never more than MaxDials at once, never more
// than Size backends, and up to ReserveSize more after the first waiter that no
// dial will serve has waited for ReserveTimeout. When no client waits, backends
// above Size are closed as they come free.
//
// # When the clients are gone
//
// A pool without clients keeps its idle backends for PoolIdleTimeout, so that a
// client that comes back soon finds them, and then closes them, down to MinSize
// with KeepMin. What a server has refused (no such database, no such user) is
// not asked for again without a client. So a pool comes to its end by itself;
// Deserted says so, and the caller forgets it.
//
// # When it is paused
//
// A paused pool closes each backend as it comes free and dials none; dials under
// way are abandoned. Clients that want one wait, and QueryWaitTimeout counts for
// them. Resume ends it. Renew closes those that are there as they come free, and
// abandons dials, too, but others are dialled in their place at once.
//
// # When a dial fails
//
// Four obstacles are told apart. While one stands, dials go out after a back-off,
// and, except for Flapping, one at a time, so that a server in trouble meets probes, not storms.
//
// Unreachable, Refused: the server is away or says no. The back-off doubles from
// 100 ms up to a second for a server that is away, and up to ServerLoginRetry
// for one that says no, whose log each attempt fills with a line. Waiters are not bothered by a short trouble (a
// restart, a failover): they go on waiting. They are failed with
// CauseLoginFailed, all at once, when the pool has no live backend and the
// matter is certain: the server refused (wrong password, no such database), or
// dials have failed for ServerLoginRetry, counted from the start of the first
// failed dial, so that a server that swallows packets is not granted a second
// dial's timeout. From then on new clients are failed at once, too, but only
// while a probe is under way or the last failure is younger than two seconds
// (ServerLoginRetry, where the server has said no): a client that comes after a
// quiet weekend gets an attempt of its own and not Friday's error. As
// long as clients are turned away a probe goes out by back-off, for which no
// client waits, and its success ends the trouble. With one live backend left
// no client is failed: the queue moves. (PgBouncer instead lets waiters wait for
// query_wait_timeout, 120 s, or dial again only once per server_login_retry.)
//
// Full: PostgreSQL answered 53300. That is not a failure but a size: the pool
// makes do with what it has, and clients wait, until QueryWaitTimeout if need
// be, also when it has nothing at all. It grows again by one backend at a time:
// a probe after 100 ms, after each further 53300 twice as late, at most 5 s;
// after a success the next after 100 ms again. A Nudge says that another pool
// has made room: a probe goes out at once.
//
// Flapping: a backend was lost within a second of its login and had served nobody yet. A proxy in front of a server that is down does that. No dial has
// failed, so no waiter is failed either; what the client is told that had the backend is the caller's business. The next dials wait for 100 ms, after
// each further such loss for twice as long, at most a second; if no such backend had a client, that is for what MinSize wants alone. The count begins
// anew when a backend has served somebody, and after ten seconds without such a loss.
//
// Limited: a limit over several pools refused the dial. Tried again after Nudge,
// or after a second, whichever comes first.
package pool
