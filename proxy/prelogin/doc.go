// Package prelogin serves connections until they are clients: it accepts them on an event loop and runs the code that talks
// with them there, too.
//
// That code is ordinary blocking code over a net.Conn. It runs as a coroutine (iter.Pull) of the loop's goroutine: where it would
// wait for its connection, it yields to the loop, which resumes it when there is something to read or to write, or when the
// deadline is over. So a login costs neither a goroutine that the scheduler must find a thread for nor a poller of its own, and
// a client that connects for each query pays for little more than the query. What takes the processor for long (a TLS handshake, the
// derivation of a key) or waits for something else than the connection runs on a goroutine of its own in that time: Conn.Apart.
//
// A connection that has not said anything has no coroutine: it is a descriptor, its registration, and a deadline.
//
// The package knows no protocol. It may import proxy/eventloop, proxy/socket and golang.org/x/sys/unix.
package prelogin
