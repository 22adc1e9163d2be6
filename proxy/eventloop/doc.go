// Package eventloop runs the steady state of many connections on one OS thread: readiness from the kernel, an inbox for what
// other goroutines hand over, coarse timers, and one read buffer that is lent to the handler that reads.
//
// One iteration has a written order, a step per function (see Loop.iterate): poll, inbox, events, turns asked for with Again, due timers,
// and at the end what was put off with Later and Condemn. A connection has one turn in each iteration at most. A panic in one connection's code ends that connection, by way of OnPanic. Everything but
// Post, Call and Stop belongs to the loop's own goroutine, so handlers need no locks and must never block. Readiness is edge-triggered: a
// handler reads until the socket has nothing more, or asks for another turn with Again; one that reads a stream of small pieces may Rest
// meanwhile, so that it finds more of them. Interest in writability is registered only while something is parked. A registration carries a generation, so that an event that was polled for a closed descriptor never
// reaches the next owner of its number.
//
// It knows nothing of clients and pools, and may import the standard library and golang.org/x/sys/unix only.
package eventloop
