package relay

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// clientState is what a client is doing. It changes in Client.move only.
type clientState uint8

const (
	clientLogin     clientState = iota // not greeted yet → waiting, idle, closing, closed
	clientIdle                         // no backend, nothing asked → waiting, leased, closing, closed
	clientWaiting                      // in the pool's queue, its request parked → login, switching, leased, idle, closing, closed
	clientSwitching                    // has a backend that is on an errand for it → leased, waiting, idle, closing, closed
	clientLeased                       // has a backend → switching, idle, waiting, closing, closed
	clientClosing                      // the last bytes are under way → closed
	clientClosed
	clientStates
)

func (s clientState) String() string {
	return [...]string{"login", "idle", "waiting", "switching", "leased", "closing", "closed"}[s]
}

// clientMoves holds the states that may follow each state.
var clientMoves = [clientStates]uint16{
	clientLogin:     1<<clientWaiting | 1<<clientSwitching | 1<<clientLeased | 1<<clientIdle | 1<<clientClosing | 1<<clientClosed,
	clientIdle:      1<<clientWaiting | 1<<clientSwitching | 1<<clientLeased | 1<<clientClosing | 1<<clientClosed,
	clientWaiting:   1<<clientLogin | 1<<clientSwitching | 1<<clientLeased | 1<<clientIdle | 1<<clientClosing | 1<<clientClosed,
	clientSwitching: 1<<clientLeased | 1<<clientWaiting | 1<<clientIdle | 1<<clientClosing | 1<<clientClosed,
	clientLeased:    1<<clientIdle | 1<<clientSwitching | 1<<clientWaiting | 1<<clientClosing | 1<<clientClosed,
	clientClosing:   1 << clientClosed,
}

// peer is what is known of the other end of a connection.
type peer uint8

const (
	peerThere peer = iota
	peerEnded      // it has sent its FIN: it may still read → peerGone
	peerGone       // it has reset the connection
)

// Client is a logged-in client. It belongs to its engine's loop. An idle one holds no buffer: this struct, its registration
// and its descriptor are all that it costs.
type Client struct {
	// Fixed after login.
	lane    *Lane
	limits  *LiveLimits
	login   *Identity
	onGone  func()
	peer    string
	secret  uint32
	slot    uint32 // in Engine.clients, half of its cancel key
	id      pool.ClientID
	number  uint32 // of the process's clients and backends
	pid     uint32 // that it was given
	born    uint32 // in seconds of the loop's clock
	token   eventloop.Token
	longKey bool

	// Owned by the loop.
	state    clientState
	ending   ending
	end      status.ClientEnd // why it ends, as soon as that is known
	other    peer
	greeted  bool
	unread   bool   // an edge was reported and not read to its end
	ahead    bool   // carry is what the login had read ahead
	noticed  bool   // the present wait has been told
	polite   bool   // it has sent Terminate: what it asked for is carried out, even if it does not wait for that
	refused  uint8  // backends on which its settings were refused in a row
	again    uint32 // when its present wait began anew for the first time, in seconds of the loop's clock, plus 1; 0: it has not
	talk     conversation.Client
	sock     socket.Conn
	backend  *Backend
	lastWord *pgerror.Error // what it is told at its end, when it sends no more
	wish     *wish          // that its present request be cancelled; nil: none
	carry    []byte         // what was read and not yet judged or forwarded
	active   int64          // when its state or its ending last changed
}

// move is the only place where a client's state changes.
func (c *Client) move(to clientState) {
	if clientMoves[c.state]&(1<<to) == 0 {
		panic(fmt.Sprintf("relay: a %s client cannot become %s", c.state, to))
	}
	counts := &c.lane.counts.clients
	counts[c.state]--
	counts[to]++
	c.state = to
	c.noticed = false
	c.active = c.lane.engine.loop.Now()
	if to == clientIdle {
		c.again = 0
	}
}

// counts are a lane's clients and backends by state.
type counts struct {
	clients  [clientStates]int
	backends [backendStates]int
}

// Limits are the times that a client may take; 0 is no limit.
type Limits struct {
	Query           time.Duration // for one request to be answered
	Transaction     time.Duration // from a transaction's first request to its end
	IdleTransaction time.Duration // between two requests of a transaction
	Idle            time.Duration // between transactions
	Stall           time.Duration // without taking anything of what it is sent
	WaitNotice      time.Duration // after which a client that waits for a backend is told so
	SlowWait        time.Duration // for a backend, after which the wait is logged
	SlowTransaction time.Duration // after which a transaction is logged
	PgBouncer       bool          // errors are told in PgBouncer's words
}

// Identity is how a client has logged in: the names that it gave. nil: as the pool is named.
type Identity struct{ Database, User string }

// LiveLimits are limits that may be changed while clients have them. Any goroutine.
type LiveLimits = atomic.Pointer[Limits]

// Admission is a client that has just logged in.
type Admission struct {
	FD       int             // non-blocking; the engine owns it from now on
	TLS      *socket.Adapter // what is on top of it; nil: plain text
	Here     bool            // the caller is on the lane's loop, which watches FD already
	Token    eventloop.Token // then; otherwise the zero value
	Owed     []byte          // what the client is to be sent first; the caller's again after Admit
	Ahead    []byte          // what it has sent already; likewise. Without TLS only
	Renewed  bool            // weir has other credentials for the lane's server since this login
	Settings *session.Set
	Limits   *LiveLimits // shared among clients
	Login    *Identity   // likewise
	Peer     string      // address, for logs
	Secret   uint32      // of its cancel key
	LongKey  bool        // it speaks protocol 3.2, and gets a long secret
	Kills    uint32      // Lanes.Kills when the client came to the pool: if it is another by now, the client is ended like those that were there
	OnGone   func()      // called once, on the loop, when the client is gone; must not block
}

// Admit takes over a logged-in client: it is greeted as soon as the parameters that a backend reports under its settings are
// known, and served until it leaves. Any goroutine.
func (l *Lane) Admit(a Admission) {
	if a.Here {
		l.admit(a)
		return
	}
	a.Owed, a.Ahead = slices.Clone(a.Owed), slices.Clone(a.Ahead)
	if !l.engine.loop.Post(func() { l.admit(a) }) {
		closeFD(a.FD)
		a.OnGone()
	}
}

func (l *Lane) admit(a Admission) {
	l.open()
	e := l.engine
	c := &Client{
		lane: l, limits: a.Limits, login: a.Login, number: e.env.Number(), born: e.seconds(), onGone: a.OnGone, peer: a.Peer, secret: a.Secret, longKey: a.LongKey,
		talk: conversation.NewClient(a.Settings, e.env.Settings), sock: socket.NewTLS(a.FD, a.TLS), active: e.loop.Now(),
	}
	c.slot = e.clients.add(c)
	c.pid, _ = e.env.Keys.Pack(e.index, c.slot)
	c.id = pool.ClientID(l.clients.add(c))
	l.counts.clients[c.state]++
	l.totals.ClientsServed++
	c.arrived()
	if a.Renewed {
		l.pardon()
	}
	if err := c.watch(a); err != nil {
		e.env.Log.Error("client not taken over", "error", err, "peer", a.Peer)
		c.close()
		return
	}
	if len(a.Ahead) > 0 {
		c.carry = append(e.io.Borrow(len(a.Ahead)), a.Ahead...)
		c.ahead = true
	}
	c.unread = c.ahead || c.sock.Pending() // what was read already is no event
	if err := l.turnsAway(a.Kills); err != nil {
		c.write(a.Owed)
		c.failWith(err)
		return
	}
	l.arrive(c, a.Owed)
}

// turnsAway says why a client that comes to the lane now, and came to the pool after so many kills, cannot stay; nil: it can.
func (l *Lane) turnsAway(kills uint32) *pgerror.Error {
	switch {
	case l.engine.drain.refusing():
		return pgerror.ShuttingDown
	case kills != l.config.Lanes.Kills():
		return pgerror.DatabaseKilled
	}
	return l.farewell
}

// watch has the client's descriptor watched by the loop.
func (c *Client) watch(a Admission) (err error) {
	loop := c.lane.engine.loop
	if a.Here {
		c.token = a.Token
		loop.Rebind(a.Token, c, eventloop.Second)
		return nil
	}
	c.token, err = loop.Register(a.FD, c, eventloop.Second)
	return err
}

// greet ends the login as PostgreSQL does: after what is owed come the parameters, the cancel key and ReadyForQuery.
func (c *Client) greet(owed []byte, params []session.Setting) {
	e := c.lane.engine
	b := append(e.io.Borrow(1024), owed...)
	for _, p := range params {
		b = wire.AppendParameterStatus(b, p.Name, p.Value)
	}
	b = c.appendKey(b)
	b = wire.AppendReadyForQuery(b, wire.TxIdle)
	c.greeted, c.talk.Told = true, params
	if c.state == clientLogin {
		c.move(clientIdle)
	}
	c.write(b)
	e.io.Return(b)
	c.readOn()
}

// appendKey appends the client's cancel key.
func (c *Client) appendKey(b []byte) []byte {
	e := c.lane.engine
	pid := c.pid
	if c.longKey {
		long := e.env.Keys.Long(pid, c.secret)
		return wire.AppendBackendKeyData(b, pid, long[:])
	}
	var short [4]byte
	binary.BigEndian.PutUint32(short[:], c.secret)
	return wire.AppendBackendKeyData(b, pid, short[:])
}

// write sends p to the client; what the socket does not take is parked. What weir says by itself goes through say and failWith.
func (c *Client) write(p []byte) {
	if len(p) == 0 || c.ending.decided() {
		return
	}
	was := c.sock.Parked()
	c.lane.totals.ClientBytesOut += uint64(len(p))
	if err := c.sock.Write(&c.lane.engine.io, p); err != nil {
		c.broken(err)
		return
	}
	if c.sock.Parked() && !was {
		c.watchWrite(true)
	}
}

func (c *Client) watchWrite(on bool) {
	if err := c.lane.engine.loop.WatchWrite(c.token, on); err != nil {
		c.broken(err)
	}
}

// statusState is the state as snapshots name it.
func (s clientState) statusState() status.ClientState {
	switch s {
	case clientLogin:
		return status.ClientLogin
	case clientWaiting:
		return status.ClientWaiting
	case clientSwitching, clientLeased:
		return status.ClientActive
	case clientClosing, clientClosed:
		return status.ClientClosing
	default:
		return status.ClientIdle
	}
}
