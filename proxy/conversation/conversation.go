package conversation

import (
	"strings"

	"weir/proxy/exchange"
	"weir/proxy/notify"
	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// InspectLen is how much of a message is collected before it is judged. Names and tags lie within it; a message that is longer is
// forwarded in pieces.
const InspectLen = 16 << 10

// Limits of what is under way for one client. Beyond them it is not read: the answers come first. What is looked through for each
// message is never longer than they are.
const (
	owedMax     = 256  // answers that are due
	requestsMax = 4096 // Syncs and Queries that are not answered
)

// Mode says for how long a client keeps a backend.
type Mode uint8

// The pool modes.
const (
	Transaction Mode = iota // until its transaction is over
	Session                 // until it disconnects
	Statement               // until its statement is over; transactions of several statements are refused
)

func (m Mode) String() string { return [...]string{"transaction", "session", "statement"}[m] }

// Rules are a pool's settings. They may be changed between two calls, but for Shares and from or to session mode.
type Rules struct {
	Mode          Mode
	Shares        bool // the clients' named statements, by way of Shared.Statements
	MaxStatements int  // that a backend keeps for the clients that share them
	TextsMax      int  // bytes of prepared statements that one client may have; 0: no limit
	State         SessionState
	Functions     *Functions // that the operator has named; nil: none
	ResetQuery    string     // sent after each client in session mode; empty: none, unless state must be taken back
	ResetAlways   bool       // after each lease in the other modes, too
	CheckQuery    string     // see Check; "<empty>" is a query without text
	PacketMax     int        // bytes of a message; 0: no limit
	NoSimple      bool       // clients may send no simple queries
	Audit         Audit
}

// Shared is what the conversations of one lane have in common. Loop only.
type Shared struct {
	Rules

	Settings   *session.Table
	Statements prepared.Table
	Queries    uint64
	Binds      uint64              // of named statements
	Full       func() (Full, bool) // reports whether no more backends may be pinned; nil: they may
	Asked      Asked
	Errors     Codes // of servers

	Marker           string                     // the channel of the marks of package notify; empty: the pool has no listener connection
	ListenerEncoding string                     // client_encoding of the listener connection; empty: not known
	Pid              func(server uint32) uint32 // what clients know a process of the server by; nil: as the server does
	Notifications    uint64                     // that backends have sent to clients that have them

	common   *Common
	scopes   map[string]string // keys of what changes the meaning of a text, each kept once
	verdicts map[verdict]sqlscan.Effects
	records  records
	customs  customs
	keepers  keepers
	relearnt uint32 // Relearns
	recalls  bool   // clients of the pool ask for what sequences gave: see sequences
}

// scopesMax bounds the keys that are kept.
const scopesMax = 1024

// Client is a client's part of its conversations. It outlives them.
type Client struct {
	Login *session.Set       // the settings that it asked for at login
	Set   *session.Set       // those that it has now; each of the two is a reference
	Told  []session.Setting  // what it believes about the parameters that a server reports; shared
	Sub   *notify.Subscriber // nil: nothing has listened for it but its own backends

	names  prepared.Names
	number uint64 // no other client or backend of the pool ever has it; 0: it has had no backend
	ranOn  uint64 // the number of the backend that it had last
	out    wire.Outlet
	long   *long // a statement that is longer than InspectLen; nil otherwise

	refusal refusal
	remainder
	hold       Hold
	unprepared bool // a statement that the text executes could not be prepared for it
	answered   bool // its next message is a Query that has been answered already: see prepareFirst
	toSync     bool // what comes before the next Sync is thrown away, as the server would
}

// Hold says what a client waits for whose next message cannot be judged yet.
type Hold uint8

// The holds.
const (
	HoldNone     Hold = iota
	HoldName          // what a name means depends on an answer that has not come yet
	HoldReset         // the session's state is being discarded: names and settings mean something else after it
	HoldPipeline      // too many answers are due
	HoldProbe         // the server has been asked whether anything is due
	HoldRecall        // the values of another client's sequences are in the session: Fate says what becomes of them
	HoldListen        // it needs a backend that listens for it
	HoldSwitch        // its settings have gone ahead of what it has sent last: see ahead
)

func (h Hold) String() string {
	return [...]string{"none", "name", "reset", "pipeline", "probe", "recall", "listen", "switch"}[h]
}

// ownSync is what weir has put a Sync of its own into the client's stream for.
type ownSync uint8

const (
	syncNone    ownSync = iota
	syncDiscard         // the state of the session is discarded amid a pipeline
	syncPrepare         // a statement that a text executes is prepared first
)

// Hold says what the client waits for.
func (c *Client) Hold() Hold { return c.hold }

// Prepared is the number of statements that the client has prepared and named.
func (c *Client) Prepared() int { return c.names.Len() }

// Outlet is the owner of what the client is sent.
func (c *Client) Outlet() *wire.Outlet { return &c.out }

// Amid reports whether a message of the client's has been forwarded in part.
func (c *Client) Amid() bool { return c.lacks() > 0 }

// Lacks is how many bytes of that message are still to come.
func (c *Client) Lacks() uint32 { return c.lacks() }

// NewClient is a client that has logged in with these settings, a reference to which it takes over.
func NewClient(login *session.Set, table *session.Table) Client {
	c := Client{Login: login, Set: table.Retain(login)}
	c.shown(table)
	return c
}

// Leave gives up what the client has. The conversation must be over.
func (c *Client) Leave(table *session.Table) {
	table.Release(c.Login)
	table.Release(c.Set)
	c.names.Clear()
	c.long = nil
}

// Rewind takes back that a message has been judged in part: nothing of it has reached the server.
func (c *Client) Rewind() {
	c.remainder = remainder{}
	c.long, c.toSync, c.answered, c.hold = nil, false, false, HoldNone
}

// Server is a backend's part.
type Server struct {
	// What each transaction looks at stands together: a backend's struct has left the processor's caches when its next message comes.
	shared *Shared
	client *Client      // nil while no client has it
	set    *session.Set // the settings that are applied
	leak   *Leak
	heard  *Heard       // nil: nothing is noted
	pins   session.Pins // why it must stay with its client, or may have to
	remainder
	giving  uint32 // of the server's next messages, how many answer what weir has put behind a RESET
	account exchange.Exchange
	task

	lease
	parameters
	tempPath  bool            // the search_path may have what is created be temporary
	worn      bool            // something has been done to its process that only its end undoes
	lost      bool            // a statement has been missed that the book says it holds
	changes   Changes         // of commands of the transaction
	concerns  sqlscan.Effects // others, of texts that have been sent: Notify and Databases, until the caller has heard so
	role      roleNews
	block     block
	recent    recent
	ledger    ledger
	follow    follow
	audit     audit
	recall    recall
	suspicion suspicion
	question  question
	book      prepared.Book
	scope     scope
	ahead     ahead
	retry     retry
	portals   portals

	farewell
	defaults     Defaults
	deallocating []deallocation // names of the client's that answers under way will end
}

// lease is what a Server knows of the present lease alone. Lease begins it anew, so that nothing of it is left for the next client.
type lease struct {
	sent        bool           // bytes of the client have gone out
	flushed     bool           // a Flush of weir's own was the last that went out
	failedAhead bool           // an error came while own was due
	own         ownSync        // a Sync of weir's own is the last that is due
	withheld    withheld       // the end of an answer
	blame       *pgerror.Error // why weir has had a statement cancelled
	told        *pgerror.Error // what the client is told in place of the error that is being judged
	listen      listening
}

// farewell is a server's announcement that it ends the connection.
type farewell struct {
	fatal     bool
	unheard   bool // see Unheard
	lastWords string
}

// NewServer is a backend that has just logged in and reported params, which are shared and not changed.
func NewServer(shared *Shared, params []session.Setting) Server {
	s := Server{shared: shared, parameters: reportedAtLogin(params), book: prepared.Book{Max: shared.MaxStatements}}
	s.recall.number = shared.nextNumber()
	s.ahead.queries = queriesFollow(params)
	s.account.Reset()
	shared.pool()
	return s
}

// Lease gives the backend to a client.
func (s *Server) Lease(c *Client) {
	s.client = c
	c.shown(s.shared.Settings)
	s.lease = lease{}
	s.retry.begin(s.account.Asked())
	s.ahead.state = aheadNone
	s.leaseSequences(c)
	s.suspicion.forget()
	s.book.Max = s.shared.MaxStatements // which may have changed
	s.book.Lease(&c.names)
}

// Fits reports whether the backend is in its client's settings, and has no values of others' sequences. Otherwise it needs a Switch.
func (s *Server) Fits() bool { return s.set == s.client.Set && !s.forgets() }

// Part ends the conversation: of a backend that owes nothing, or of a client that leaves.
func (s *Server) Part() {
	if s.client == nil {
		return
	}
	s.book.Release(&s.client.names)
	s.client.hold = HoldNone
	s.client.long = nil
	s.client = nil
	if s.ahead.unfit() {
		s.ahead.state = aheadNone
	}
}

// Lose is for a backend whose connection has ended: what was under way is taken back from what its client believes.
func (s *Server) Lose() {
	s.book.Abandon(s.names())
	s.Part()
	s.book.Discard()
	s.ledger.clear()
	s.apply(nil)
	s.loseAhead()
}

// names are those of the present client, nil if there is none.
func (s *Server) names() *prepared.Names {
	if s.client == nil {
		return nil
	}
	return &s.client.names
}

// Due is the number of requests that are not answered.
func (s *Server) Due() int { return s.account.Due() }

// Runs reports whether the server is at work on what the client has sent, as far as weir knows: an answer to that is due.
func (s *Server) Runs() bool {
	return s.errand == nil && !s.probing && (s.account.Owed() > 0 || s.account.Due() > 0)
}

// Unanswered reports whether something that the client has sent to the server is not answered: the server runs it, or weir withholds the end of its answer.
func (s *Server) Unanswered() bool { return s.Runs() || s.withheld.owed != 0 }

// Owes reports whether anything is due, or the client has sent something that it has not ended.
func (s *Server) Owes() bool { return !s.account.Settled() }

// Lingers reports whether the server has answered all of a batch that the client has not ended, so that it waits for the client.
func (s *Server) Lingers() bool {
	return s.errand == nil && !s.probing && !s.account.Settled() && !s.account.Comes() && !s.Copying() && !s.Doubtful() && s.withheld.owed == 0
}

// Asked is how many answers the client has ever asked the server for.
func (s *Server) Asked() uint64 { return s.account.Asked() }

// Free reports that nothing is due and no transaction is open.
func (s *Server) Free() bool { return s.account.Free() }

// Status is the transaction status that the last ReadyForQuery gave.
func (s *Server) Status() wire.TxStatus { return s.account.Status() }

// Copying reports whether a COPY is under way.
func (s *Server) Copying() bool { return s.account.Copying() != exchange.CopyNone }

// Fatal reports that the server has said that it ends the connection, and that this message is whole.
func (s *Server) Fatal() bool { return s.fatal && s.skip == 0 }

// Unheard reports that the client has not been told of that: nothing of its request has been done, and Again returns it, for another backend.
func (s *Server) Unheard() bool { return s.unheard }

// LastWords is what the server has said when it announced that, bounded in length; "" if it has not.
func (s *Server) LastWords() string { return s.lastWords }

// Blame says for what weir has asked the server to cancel: the client is told that in place of the server's next word of a cancelled
// statement, which would say that the user has asked for it. nil: no such request is under way any more.
func (s *Server) Blame(err *pgerror.Error) { s.blame = err }

// Doubtful reports whether more may be due to the client than is known.
func (s *Server) Doubtful() bool { return s.account.Taint()&exchange.Doubt != 0 }

// Tainted reports whether the backend must not serve another client although it may owe nothing.
func (s *Server) Tainted() bool { return s.account.Taint() != 0 }

// Pins say why the backend stays with its client.
func (s *Server) Pins() session.Pins {
	pins := s.pins
	if c := s.client; c != nil && c.names.Owns() {
		pins |= session.PreparedStatement
	}
	if s.client != nil && s.client.Sub.Native() {
		pins |= session.Listen
	}
	return pins
}

// Errand is what the backend is doing on weir's own account; nil if nothing.
func (s *Server) Errand() *Errand { return s.errand }

// Set are the settings that are applied.
func (s *Server) Set() *session.Set { return s.set }

// Statements is how many statements it holds for clients.
func (s *Server) Statements() int { return s.book.Len() }

// apply notes which settings the backend is in.
func (s *Server) apply(set *session.Set) {
	s.shared.Settings.Retain(set)
	s.shared.Settings.Release(s.set)
	s.set = set
	path, _ := set.Value("search_path")
	s.tempPath = strings.Contains(strings.ToLower(path), "pg_temp")
}

// EachStatement calls f with each statement that the backend holds for clients.
func (s *Server) EachStatement(f func(*prepared.Statement)) { s.book.Each(f) }
