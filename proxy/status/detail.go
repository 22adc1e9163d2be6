package status

import (
	"net/netip"
	"time"
)

// Client is one client. Numbers count the process's clients and backends in the order in which they came.
type Client struct {
	ID                     uint32
	Database, User         string // as it has logged in
	PoolDatabase, PoolUser string
	Replication            string // "none", "physical" or "logical"
	State                  ClientState
	Local, Remote          netip.AddrPort // zero on a unix socket
	PID                    uint32         // of the process at the other end of a unix socket; 0: not known
	Age                    time.Duration  // since it has logged in
	Since                  time.Duration  // since its state changed last, or its latest request
	Ending                 bool           // it is about to be disconnected
	TLS, App               string
	Prepared               int    // statements
	Parked                 int    // bytes that wait for it, or of its own
	Backend                uint32 // that it has; 0: none
}

// Backend is one backend.
type Backend struct {
	ID             uint32
	Database, User string // of its pool
	State          BackendState
	Addr           string
	Local, Remote  netip.AddrPort // zero on a unix socket
	PID            uint32         // of the server's process
	Age            time.Duration  // since the dial began
	Since          time.Duration  // since its latest lease began
	Cancels        int            // requests aimed at it that are under way
	Ending         bool           // it is closed when it comes free
	TLS, App       string
	Prepared       int // statements
	Parked         int // bytes
	Client         uint32
	ClientApp      string
	ClientPeer     string
	Held           time.Duration // since the present lease began
	InTx           bool          // in a transaction, and waiting for its client
	Rested         bool          // nothing is due to the client
	Pins           string        // why it stays with its client; empty: nothing keeps it
}

// Failure is the last error of one SQLSTATE that a client was sent.
type Failure struct {
	SQLState        string
	Count           uint64
	Ago             time.Duration
	Weirs           bool // weir's own, not a server's
	Database, User  string
	Peer, App       string
	Client, Backend uint32 // the client's number, the process ID of its backend; 0: none
	Text            string
}

// Statement is a prepared statement that clients share.
type Statement struct {
	Database, User string
	Pool           uint64 // see Pool.Number
	Name           string // on backends
	Clients        int    // names of clients that stand for it
	Backends       int    // that hold it
	Text           string // the beginning of it
}
