package relay

import (
	"context"
	"fmt"

	"weir/pool"
	"weir/proxy/eventloop"
	"weir/proxy/exchange"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/sqlscan"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// backendState is what a backend is doing. It changes in Backend.move only.
type backendState uint8

const (
	backendDialling backendState = iota // no connection yet → idle, gone
	backendIdle                         // in the pool, unused → leased, gone
	backendLeased                       // relays for its client → idle, settling, internal, held, gone
	backendInternal                     // a command of weir's own is under way, its answers are swallowed → leased, idle, internal, held, gone
	backendSettling                     // its client is gone, answers are still due and thrown away → internal, idle, held, gone
	backendHeld                         // owes nothing, but a cancel request aimed at it is still under way → idle, gone
	backendGone
	backendStates
)

func (s backendState) String() string {
	return [...]string{"dialling", "idle", "leased", "internal", "settling", "held", "gone"}[s]
}

// backendMoves holds the states that may follow each state.
var backendMoves = [backendStates]uint16{
	backendDialling: 1<<backendIdle | 1<<backendGone,
	backendIdle:     1<<backendLeased | 1<<backendGone,
	backendLeased:   1<<backendIdle | 1<<backendInternal | 1<<backendSettling | 1<<backendHeld | 1<<backendGone,
	backendInternal: 1<<backendLeased | 1<<backendIdle | 1<<backendInternal | 1<<backendHeld | 1<<backendGone,
	backendSettling: 1<<backendInternal | 1<<backendIdle | 1<<backendHeld | 1<<backendGone,
	backendHeld:     1<<backendIdle | 1<<backendGone,
}

// errand is the command of weir's own that an internal backend is carrying out.
type errand uint8

const (
	errandNone     errand = iota
	errandSwitch          // apply the settings of the client that waits for it
	errandRollback        // end the transaction that a client left behind
	errandReset           // make the session as new after a client that changed it
	errandProbe           // find out whether anything is due, see probe; unlike the others it leaves the state as it is
)

// Backend is one PostgreSQL backend and weir's connection to it. It belongs to its engine's loop.
type Backend struct {
	// Fixed after login.
	lane        *Lane
	id          pool.BackendID
	token       eventloop.Token
	pid         uint32
	askToCancel func(context.Context) error
	addr        string
	born        int64

	// Owned by the loop.
	state    backendState
	unread   bool // an edge was reported and not read to its end
	discard  bool // skip is thrown away rather than forwarded
	doomed   bool // closed at the end of this iteration
	fatal    bool // the server has announced that it ends the connection
	sent     bool // bytes of the present client have gone out since the lease began
	freed    bool // the account became free in this read; released when the read has been walked
	suspect  bool // it must not serve another client: a cancel request for this one may still reach it
	confused bool // its stream has ceased to make sense
	probing  bool // a probe is under way
	awaits   bool // the client is held until the next ReadyForQuery, not until all is answered
	errand   errand
	tells    bool   // what the errand changes is reported to the client
	refused  []byte // the error that the errand met, nil while it goes well
	cancels  int    // cancel requests aimed at it that are still under way
	sock     socket.Conn
	account  exchange.Exchange
	unnamed  unnamed
	reshaped bool // a command of the transaction has changed what texts may mean
	book     prepared.Book
	client   *Client
	skip     uint32
	carry    []byte

	set     *session.Set      // the settings that are applied
	changed bool              // params has values, since they were last compared, that others do not know of
	params  []session.Setting // what it last reported; shared, replaced when a value changes
	pins    session.Pins      // why it must stay with its client
	effects sqlscan.Effects   // of the texts sent since it was last settled
	mode    sqlscan.Mode      // how it reads text

	deallocating []string // names of the client's that answers under way will end

	leased int64 // when the present lease began
	asked  int64 // when the oldest unanswered request was sent; 0 while nothing is due
	began  int64 // when the present transaction's first request was sent; 0 outside
	rested int64 // when it was last settled in a transaction; 0 otherwise
	until  int64 // when its errand or settling must be over; 0 otherwise
	warned bool  // query_timeout has been acted upon
}

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

// begin notes that a request is about to be sent.
func (b *Backend) begin() {
	now := b.lane.engine.loop.Now()
	if b.asked == 0 {
		b.asked = now
	}
	if b.began == 0 {
		b.began = now
	}
	b.rested = 0
}

// noteText adds what a statement's text may do to the session.
func (b *Backend) noteText(e sqlscan.Effects) {
	b.effects |= e
	if e&sqlscan.Databases != 0 {
		b.lane.engine.vacateAll()
	}
}

// mayDeallocate reports whether something that was sent may end statements that clients share.
func (b *Backend) mayDeallocate() bool {
	return b.lane.shares && b.effects&(sqlscan.Deallocate|sqlscan.Discard) != 0
}

func (b *Backend) watchWrite(on bool) {
	if err := b.lane.engine.loop.WatchWrite(b.token, on); err != nil {
		b.doom(err)
	}
}

// command sends a command of weir's own; its answers are swallowed and errandDone is called at the end.
func (b *Backend) command(e errand, sql string) {
	b.errand, b.refused = e, nil
	b.unnamed.gone() // a Query ends it
	b.move(backendInternal)
	b.until = b.lane.engine.loop.Now() + int64(errandTimeout)
	io := &b.lane.engine.io
	p := wire.AppendQuery(io.Borrow(len(sql)+8), sql)
	err := b.sock.Write(io, p)
	io.Return(p)
	if err != nil {
		b.doom(err)
		return
	}
	if b.sock.Parked() {
		b.watchWrite(true)
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
