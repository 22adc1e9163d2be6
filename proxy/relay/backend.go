package relay

import (
	"context"
	"fmt"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// backendState is what a backend is doing. It changes in Backend.move only.
type backendState uint8

const (
	backendDialling backendState = iota // no connection yet → idle, gone
	backendIdle                         // in the pool, unused → leased, internal, gone
	backendLeased                       // relays for its client → idle, settling, internal, held, gone
	backendInternal                     // a command of weir's own is under way, its answers are swallowed → leased, idle, internal, held, gone
	backendSettling                     // its client is gone, answers are still due and thrown away → internal, idle, held, gone
	backendHeld                         // its client is gone and it owes nothing, but a cancel request aimed at it is still under way → internal, idle, gone
	backendGone
	backendStates
)

func (s backendState) String() string {
	return [...]string{"dialling", "idle", "leased", "internal", "settling", "held", "gone"}[s]
}

// backendMoves holds the states that may follow each state.
var backendMoves = [backendStates]uint16{
	backendDialling: 1<<backendIdle | 1<<backendGone,
	backendIdle:     1<<backendLeased | 1<<backendInternal | 1<<backendGone,
	backendLeased:   1<<backendIdle | 1<<backendInternal | 1<<backendSettling | 1<<backendHeld | 1<<backendGone,
	backendInternal: 1<<backendLeased | 1<<backendIdle | 1<<backendInternal | 1<<backendHeld | 1<<backendGone,
	backendSettling: 1<<backendInternal | 1<<backendIdle | 1<<backendHeld | 1<<backendGone,
	backendHeld:     1<<backendInternal | 1<<backendIdle | 1<<backendGone,
}

// Backend is one PostgreSQL backend and weir's connection to it. It belongs to its engine's loop.
type Backend struct {
	// What each transaction looks at stands together, in front of the conversation.
	lane    *Lane
	id      pool.BackendID
	token   eventloop.Token
	state   backendState
	unread  bool // an edge was reported and not read to its end
	outlook outlook
	spare   bool  // it is asked something, and idle as far as the pool knows: it may be leased before it has answered
	warned  bool  // query_timeout has been acted upon
	asking  bool  // its errand is Ask
	cancels int   // cancel requests aimed at it that are still under way
	bound   *Lane // where it goes at the end of this iteration, or after the answer if it is spare; nil: it stays
	client  *Client
	watched *watched // the present transaction, where the log or tracing is to have it; nil otherwise
	carry   []byte
	sock    socket.Conn
	freed   int64 // when the last lease ended, or it was dialled
	asked   int64 // when the oldest unanswered request was sent; 0 while nothing is due
	until   int64 // when its errand or settling must be over; 0 otherwise
	lease
	results  pace // of what the server sends
	copied   pace // of what its client sends for COPY
	pinning  pinning
	notifier notifier
	talk     conversation.Server

	started   int64      // when its errand was started
	dismissed pool.Cause // why the pool has it closed

	// Fixed after login.
	pid         uint32
	askToCancel func(context.Context) error
	left        func() // Dialled.Gone
	giveUpDial  func()
	abandoned   bool // the pool has no use for it any more, and it was being dialled then
	addr        string
	born        int64
	number      uint32 // of the process's clients and backends
}

// lease is what is known of the present lease alone, or of the last one. Lane.lease begins it anew.
type lease struct {
	leased   int64 // when it began
	began    int64 // when the present transaction's first request was sent; 0 outside
	rested   int64 // when the backend was last settled in a transaction; 0 otherwise
	kept     int64 // when it was last settled outside of one, and stayed its client's all the same; 0 otherwise
	looked   int64 // when it was last found out whether the client, which has sent its FIN, is there
	reached  bool  // bytes of the client have reached the server
	killed   bool  // an operator wants it over: see Engine.Kill
	stubborn bool  // the server has not ended a query in time that it was asked to cancel for query_timeout, which ends the client
}

// outlook is how much longer a backend is to live. It only gets worse: Backend.condemn and worsen change it, and Engine.panicked, which begins its end
// anew.
type outlook uint8

const (
	outlookGood     outlook = iota
	outlookSuspect          // it must not serve another client: a cancel request for this one may still reach it
	outlookDoomed           // it is closed at the end of this iteration
	outlookConfused         // likewise, because its stream has ceased to make sense
)

// worsen makes the backend's outlook what it is now said to be, unless it is worse.
func (b *Backend) worsen(to outlook) { b.outlook = max(b.outlook, to) }

// doomed reports whether the backend is closed at the end of this iteration.
func (b *Backend) doomed() bool { return b.outlook >= outlookDoomed }

// move is the only place where a backend's state changes.
func (b *Backend) move(to backendState) {
	if backendMoves[b.state]&(1<<to) == 0 {
		panic(fmt.Sprintf("relay: a %s backend cannot become %s", b.state, to))
	}
	counts := &b.lane.counts.backends
	counts[b.state]--
	counts[to]++
	b.state = to
}

func (b *Backend) watchWrite(on bool) {
	if err := b.lane.engine.loop.WatchWrite(b.token, on); err != nil {
		b.doom(err)
	}
}

// send writes p; what the socket does not take is parked. False: the connection has failed, and its end is under way.
func (b *Backend) send(p []byte) bool {
	b.asks()
	was := b.sock.Parked()
	if err := b.sock.Write(&b.lane.engine.io, p); err != nil {
		b.doom(err)
		return false
	}
	b.reached = true
	if b.sock.Parked() && !was {
		b.watchWrite(true)
	}
	return true
}

// readOn resumes reading where an edge was left unread.
func (b *Backend) readOn() {
	if b.unread {
		b.lane.engine.loop.Again(b.token)
	}
}

// statusState is the state as snapshots name it.
func (s backendState) statusState() status.BackendState {
	switch s {
	case backendDialling:
		return status.BackendDialling
	case backendLeased:
		return status.BackendActive
	case backendInternal, backendSettling:
		return status.BackendCleaning
	case backendHeld:
		return status.BackendHeld
	default:
		return status.BackendIdle
	}
}
