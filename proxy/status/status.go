// Package status holds plain snapshots of what weir is doing: who is connected, who waits, which backend does what, and what
// has been counted since the start. The loops fill them on request; the console, the metrics and the page only read them.
//
// A snapshot is a value: the caller that asked for it owns it, on any goroutine. The package may import the standard library only.
package status

import "time"

// Source answers with a fresh Snapshot. Any goroutine may ask; an answer takes one message to each loop.
type Source interface {
	Snapshot() Snapshot
}

// Snapshot is the whole process at one moment. The parts that loops own are copied loop by loop, not at the same instant.
type Snapshot struct {
	At      time.Time
	Started time.Time
	Pools   []Pool // sorted by database, then user
	Bygone  []Pool // what pools have counted that are forgotten, by database; "" are those that there are not any more
	Others  Pool   // of that, what those have counted that were Others
	Loops   []Loop
	Logins  Logins
	Lookups Lookups
	Limits  Limits
	Dropped uint64 // lines of the log that were dropped
	// UnixPort is the number in the unix socket's name, whether or not there is one.
	UnixPort int
	Tracing  Tracing

	Replications []Replication // sorted by database, then user
	Servers      []Server      // sorted by name, then address
	Peers        Peers
	Certificates []Certificate // that clients and servers are shown
}

// Certificate is one that weir shows to others.
type Certificate struct {
	Section string // of the configuration that names it
	File    string
	Until   time.Time // it is valid
}

// Server is one that pools are led to, at one of its addresses: how it was when it was tried last.
type Server struct {
	Name     string // host:port, as the configuration has it
	Address  string // the address that was tried, if the name may have several and each is tried for itself; else empty
	Role     string // one of those below, at the last login
	Up       bool
	Since    time.Time // when it has been up, or down
	Failures uint64    // attempts that failed
	Failure  string    // what the last attempt that failed met; stays when the server is back
	Backends int
}

// The roles of servers.
const (
	RolePrimary  = "primary"
	RoleStandby  = "standby"
	RoleReadOnly = "read-only" // no standby, but its sessions begin read-only
	RoleUnknown  = "unknown"
)

// Replication is what there is of connections for replication, by the names that their clients gave; all but Clients are totals.
type Replication struct {
	Database, User    string
	Clients           int
	Served            uint64
	BytesIn, BytesOut uint64 // from clients, and to clients
	Others            bool   // as a pool's
}

// Logins counts connections before they become clients; all but the first two are totals.
type Logins struct {
	Now       int    // connections that are not logged in yet
	Max       int    // how many there may be
	Accepted  uint64 // connections taken from the listeners
	Succeeded uint64
	Cancels   uint64            // cancel requests taken
	Failed    map[string]uint64 // by reason: "wrong_password", "timeout", ...
	Shed      uint64            // connections that were dropped to make room, or found none
}

// Gone is the reason of those who left by themselves: port checks, psql that has to ask for a password first, drivers that come anew without TLS.
const Gone = "gone"

// Refused is how many logins failed that somebody wanted to succeed.
func (l Logins) Refused() (n uint64) {
	for reason, count := range l.Failed {
		if reason != Gone {
			n += count
		}
	}
	return n
}

// Peers count the cancel requests among peers; all but Pools are totals.
type Peers struct {
	Passed   uint64            // on to a peer that has had it
	Received uint64            // from a peer, for one of this weir's own clients
	Failed   map[string]uint64 // those that were not passed on, by reason: "unreachable", "unknown peer", ...
	Pools    []PeerPool        // sorted by ID; of peers that a request was for
}

// PeerPool is the requests for one peer at the moment.
type PeerPool struct {
	ID       int
	Waiting  int // for a connection to the peer
	Active   int // on their way
	Dialling int // connections that are being made
}

// PeerAddress is a peer, as the configuration has it.
type PeerAddress struct {
	ID       int
	Host     string
	Port     int
	PoolSize int
}

// Lookups count how users were looked up with auth_query; all are totals.
type Lookups struct {
	Kept    uint64 // answered from memory
	Found   uint64 // the server knows the user
	Unknown uint64 // it does not
	Failed  uint64 // the lookup had no answer
}

// Limits are the bounds over all pools, and what they hold now.
type Limits struct {
	MaxClients int // max_client_conn
	Clients    int
}

// Loop counts the work of one event loop since the start.
type Loop struct {
	Polls                   uint64 // calls of the kernel's poll
	Reads, Writes           uint64 // system calls on sockets
	BytesRead, BytesWritten uint64
}

// ClientState names what a client is doing.
type ClientState uint8

// The states of a client, in the order of the metrics.
const (
	ClientIdle    ClientState = iota // between transactions, no backend
	ClientWaiting                    // in the queue for a backend
	ClientActive                     // has a backend
	ClientLogin                      // logged in, waits for the parameters of its first backend
	ClientClosing                    // its last bytes are being sent
	ClientStates                     // how many there are
)

func (s ClientState) String() string {
	return [...]string{"idle", "waiting", "active", "login", "closing"}[s]
}

// BackendState names what a backend is doing.
type BackendState uint8

// The states of a backend, in the order of the metrics.
const (
	BackendIdle     BackendState = iota // unused, ready
	BackendActive                       // leased
	BackendDialling                     // being connected and logged in
	BackendCleaning                     // its client is gone: answers are thrown away, state is reset
	BackendHeld                         // free, but a cancel request for its last query is still under way
	BackendStates                       // how many there are
)

func (s BackendState) String() string {
	return [...]string{"idle", "active", "dialling", "cleaning", "held"}[s]
}

// Pool is one (database, user) pool. Numbers named ...Total and all Histograms grow from the pool's creation.
type Pool struct {
	Database, User, Mode       string
	Number                     uint64 // pools are numbered as they are opened
	Others                     bool   // metrics show it together with others, because PoolsApart were there before it
	Size, MinSize, ReserveSize int
	Shared                     SharedLimits // that hold for the pool together with others

	Clients        [ClientStates]int
	Backends       [BackendStates]int
	InTx           int            // backends leased in a transaction that are waiting for their client
	ParkedBytes    int            // that wait for slow sockets or for a backend
	Pinned         int            // backends that session state keeps with their client
	Pins           []Pin          // these backends
	PinnedBy       map[string]int // how many of them by reason; a backend may have several
	BeingCancelled int            // backends at which a cancel request is aimed that is still under way
	Stale          int            // backends that are to be replaced when they come free
	Paused         bool
	Bound          string        // what holds back one more backend that clients wait for; empty: nothing
	OldestWait     time.Duration // of the client that has waited longest now
	OldestLease    time.Duration // of the backend that a client has had longest now
	Waiter         Peer          // the client that has waited longest
	Holder         Peer          // the client that has had its backend longest
	ServerError    string        // why the last dial failed; empty since one succeeded
	ServerDown     bool          // it failed, and not because the client named what is not there, nor because the server is full

	Prepared  Prepared
	Questions Questions
	Listen    Listen
	Totals    Totals
	Wait      Histogram   // from asking for a backend until it was leased, or the wait failed
	Query     Histogram   // from the request's forwarding to its ReadyForQuery
	Transact  Histogram   // from the lease's first request to the end of its transaction
	Dial      Histogram   // connecting and logging in
	Errors    []ErrorCode // that servers have sent
	Own       []ErrorCode // that weir has sent to clients that were logged in
}

// PoolsApart is how many pools metrics show each for itself, with about 150 series. Which these are is settled when a pool is opened: did a pool
// change sides, the counters of the others would fall.
const PoolsApart = 1000

// SharedLimits are the limits on all pools of a database, or of a user, together. 0: none.
type SharedLimits struct {
	DBBackends, UserBackends int // max_db_connections, max_user_connections
	DBClients, UserClients   int // max_db_client_connections, max_user_client_connections
}

// Pin is a backend that session state keeps with its client.
type Pin struct {
	Client      uint32 // the process ID that the client was given
	Peer        string // its address
	Application string // its application_name
	Backend     uint32 // the server's process
	Reasons     []string
	Since       time.Time // zero if that is not known
	Statement   string    // the first 80 bytes of the one that pinned it; empty if that is not known
}

// Prepared is what there is of the named statements that clients share; all but the first two are totals.
type Prepared struct {
	Texts      int // that a client's Parse may share
	OnBackends int // statements that backends hold, each counted on each

	Binds     uint64 // of clients, of named statements
	Passed    uint64 // Parses of clients that a server was sent
	Saved     uint64 // Parses of clients that no server needed to be sent
	Repeated  uint64 // Parses of weir's own
	Closed    uint64 // statements that made room on a backend
	Forgotten uint64 // texts that are not shared any more, because the schema has changed
}

// Questions count what backends were asked about the state of their sessions, and what came of it; all are totals.
type Questions struct {
	Asked   uint64            // questions that were answered or refused
	Refused uint64            // that the server refused to answer
	Unasked uint64            // transactions with statements that are not known yet after which there was no budget to ask
	Learnt  uint64            // statements that were found to leave state
	Leaks   map[string]uint64 // state that was found too late, by kind
}

// Listen is what there is of LISTEN in a pool. Clients whose own backends listen for them are Pinned, and not counted here.
type Listen struct {
	Connected bool      // the connection that listens for clients is there
	Clients   int       // that listen by way of it
	Channels  []Channel // that it listens to, at most ListenChannelsMax, sorted by name
	More      int       // channels that are not in Channels

	Delivered     uint64 // notifications that clients were sent, each counted for each client
	Reconnections uint64 // how often the connection was lost and made again
}

// ListenChannelsMax bounds the channels that a snapshot shows.
const ListenChannelsMax = 1000

// Channel is what clients listen to.
type Channel struct {
	Name    string
	Clients int
}

// Totals are a pool's counters.
type Totals struct {
	Transactions, Queries uint64
	Unfinished            [TransactionEnds]uint64 // transactions that did not come to their end, by what came between
	Leases                uint64                  // how often a backend was given to a client
	Transfers             uint64                  // how often a backend went from one loop to another
	Switches              uint64                  // how often settings had to be applied before a lease
	ClientBytesIn         uint64                  // from clients
	ClientBytesOut        uint64                  // to clients
	Dials, DialsFailed    uint64
	DialsBy               [DialEnds]uint64
	BackendsLost          uint64 // gone without weir's doing
	BackendsBy            [BackendEnds]uint64
	ClientsBy             [ClientEnds]uint64
	Timeouts              [Timeouts]uint64
	ClientsServed         uint64      // logged in
	WaitsFailed           uint64      // waits that ended in an error
	WaitsRefused          uint64      // of these, for what the client named
	Cancels               uint64      // cancel requests passed on
	Doubts                DoubtCounts // backends closed because something impossible had happened
	Resets                uint64      // backends whose state was reset after a client
	WeirErrors            uint64      // errors that weir itself sent to clients
}

// Doubt is a kind of what should not happen. Each costs one backend and the client that has it.
type Doubt uint8

// The kinds of doubts.
const (
	DoubtStream  Doubt = iota // the server's messages make no sense
	DoubtAccount              // it is not certain what is due
	DoubtPanic                // weir's own code has met a state that it takes for impossible
	Doubts                    // how many there are
)

// DoubtCounts counts doubts by kind.
type DoubtCounts [Doubts]uint64

// Sum is the number of all kinds.
func (c DoubtCounts) Sum() (n uint64) {
	for _, of := range c {
		n += of
	}
	return n
}

func (d Doubt) String() string { return [...]string{"stream", "account", "panic"}[d] }

// ErrorCode counts errors by their SQLSTATE; "other" stands for those that are not told apart.
type ErrorCode struct {
	Code  string
	Count uint64
}
