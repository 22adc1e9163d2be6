package relay

import (
	"context"
	"time"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// Mode says for how long a client keeps a backend.
type Mode = conversation.Mode

// The pool modes.
const (
	Transaction = conversation.Transaction
	Session     = conversation.Session
	Statement   = conversation.Statement
)

// Places counts a pool's backends, on all of its lanes, against the limits that it shares with other pools. Implementations are safe for all
// goroutines and do not block.
type Places interface {
	// Take asks for one more backend. When it refuses, the pool is told by Nudge once there is room.
	Take(p *Lanes) bool
	// Give returns what Take granted.
	Give(p *Lanes)
	// Unused gives back a place whose backend has not come.
	Unused(p *Lanes)
	// Decline ends what Nudge offered, if it was not taken.
	Decline(p *Lanes)
	// Full says that there is no place left for a backend of the pool's where the server counts them, and asks for one that another pool has there
	// and can spare.
	Full(p *Lanes, where Full)
	// Owed reports whether a place that has come free there is to be another pool's, which Full was said of: this one is to dial later, and waits as if
	// Full had been said of it, too.
	Owed(p *Lanes) (where Full, owed bool)
	// Admitted ends what Full has begun: the server has a place.
	Admitted(p *Lanes)
	// Bound names the limit that refused the pool last: the setting, its value, and the section that sets it.
	Bound(p *Lanes) (setting string, value int, section string)
}

// Dialled is a backend that has logged in and rests between messages.
type Dialled struct {
	FD     int               // non-blocking; the lane owns it from now on
	TLS    *socket.Adapter   // what is on top of it; nil: plain text
	PID    uint32            // of the server's process
	Params []session.Setting // as reported at login
	Addr   string
	// Cancel sends a cancel request to the server that answered, which another of the same name would not know what to do with,
	// and returns when it has closed that connection. On a goroutine of its own.
	Cancel func(ctx context.Context) error
	// Gone is called, once, when the backend has ended. It must not block. nil: nothing is.
	Gone func()
}

// Full is what a server has no place left in.
type Full uint8

// What may be full: max_connections of the server, or CONNECTION LIMIT of the database or of the role.
const (
	FullServer Full = iota
	FullDatabase
	FullRole
)

// String names the limit that is reached.
func (f Full) String() string {
	switch f {
	case FullDatabase:
		return "the connection limit of the database"
	case FullRole:
		return "the connection limit of the role"
	case FullServer:
	}
	return "max_connections of the server"
}

// DialError is why a backend could not be had.
type DialError struct {
	Failure pool.Failure
	Full    Full           // what is, if that is the failure
	Client  *pgerror.Error // what the clients that wait for it are told
	Clients bool           // it is for what the client named: the server is well
	Err     error          // for the log
	Closing string         // PgBouncer's word for it; empty: it has none
	Addr    string         // of the server that was tried last
}

// end is the failure as it is counted.
func (d *DialError) end() status.DialEnd {
	switch {
	case d.Clients:
		return status.DialRefused
	case d.Failure.Kind == pool.Full:
		return status.DialFull
	}
	return status.DialFailed
}

// LaneConfig describes a pool to its lane. All but LaneSettings is fixed when the lane is made.
type LaneConfig struct {
	LaneSettings

	Database string
	Paused   bool   // from the beginning
	Number   uint64 // pools are numbered as they are opened; that of all lanes of one
	Others   bool   // see status.Pool
	Seed     uint64 // for the pool's jitter

	Lanes  *Lanes // of the pool
	Places Places
	// Dial connects and logs in. It runs on a goroutine of its own.
	Dial func(ctx context.Context) (*Dialled, *DialError)
	// Writable finds out whether a new connection would lead to a server that is no standby. It runs on a goroutine of its own. nil: that
	// is not asked.
	Writable func(ctx context.Context) bool
	// Forget is asked, on the loop, when the lane has neither clients nor backends. True: no client will be admitted any more, and the
	// lane ends. nil: always false. It must not block.
	Forget func() bool
	// Bury is told, on the loop, what a lane has counted whose pool is forgotten. nil: nobody is. It must not block.
	Bury func(counted status.Pool)
}

// LaneSettings is what Reconfigure may change.
type LaneSettings struct {
	User          string // as whom its backends log in
	Mode          Mode
	Pool          pool.Config
	SizeSection   string // of the configuration, where pool_size is set; for hints
	MaxStatements int    // prepared statements that a backend keeps for the clients that share them; 0: none, each pins its backend
	// MaxPreparedBytes bounds the prepared statements of one client, in bytes; 0: no limit.
	MaxPreparedBytes int
	ResetQuery       string        // sent after each client in session mode; empty: none, unless state must be taken back
	ResetAlways      bool          // after each lease in the other modes, too
	CheckQuery       string        // that a backend which has been idle for CheckDelay must answer before its lease; empty: none
	CheckDelay       time.Duration // 0: each time
	FastCloseSection string        // where that is set
	FastClose        bool          // backends that are to be replaced do not wait until their clients give them back
	PacketMax        int           // bytes of a message; 0: no limit
	NoSimple         bool          // clients may send no simple queries

	State          conversation.SessionState
	MaxPinned      int           // backends that may be pinned; 0: no limit
	PinIdleTimeout time.Duration // for a pinned backend's client between transactions; 0: none

	Functions *conversation.Functions // that the operator has named; nil: none
	Login     string                  // stands for what backends of the pool begin with: where it changes, they are replaced
	Audit     conversation.Audit
	Fits      func(standby bool) bool // which servers may serve the pool; nil: all

	// CancelWaitTimeout bounds a cancel request to the server.
	CancelWaitTimeout time.Duration
	// ListenLostChannel is where clients that listen are notified that they may have missed notifications; empty: nowhere.
	ListenLostChannel string
	// MaxNotificationBytes bounds what may wait of notifications for a client that does not read; 0: no limit.
	MaxNotificationBytes int
}

// rules are the settings as conversations know them.
func (s *LaneSettings) rules() conversation.Rules {
	return conversation.Rules{
		Mode: s.Mode, Shares: s.shares(), MaxStatements: s.MaxStatements, TextsMax: s.MaxPreparedBytes, ResetQuery: s.ResetQuery, State: s.State, Functions: s.Functions,
		Audit: s.Audit, ResetAlways: s.ResetAlways, CheckQuery: s.CheckQuery, PacketMax: s.PacketMax, NoSimple: s.NoSimple,
	}
}

// shares reports whether clients share prepared statements.
func (s *LaneSettings) shares() bool { return s.MaxStatements > 0 && s.Mode != Session }

// Lane is a pool on a loop, or a part of one: the pool's logic, its backends and its clients. Everything but the methods that say otherwise
// belongs to the engine's goroutine.
type Lane struct {
	engine *Engine
	number int // among the lanes of the pool
	config LaneConfig
	pool   *pool.Pool

	talk     conversation.Shared
	listener listener
	addr     string // of the server, as the last dial found it

	clients  slots[Client] // by pool.ClientID
	backends []*Backend    // by pool.BackendID, which the pool gives; nil where free

	work    []pool.Decision // taken from the pool, not carried out yet
	working bool
	timer   eventloop.Timer
	next    pool.Instant // when timer fires; pool.Never while it is not set
	rests   func()       // rested

	dialError *DialError      // of the lane's last dial, nil since one succeeded
	lack      *Full           // what had no place left at the server when a backend was last wanted; nil: that was not the reason why there is none
	failed    int64           // when that was
	limited   bool            // the last dial met a limit over pools
	troubled  int64           // since when dials have failed; 0: the last one has not
	warned    int64           // when the last failed dial was logged; 0: none since one succeeded
	ctx       context.Context // ends with the lane: dials and cancels stop
	stop      context.CancelFunc

	defaults defaults

	definitions, reshapings uint64 // of Env's, that are taken into account

	opened   bool
	ended    bool
	roles    roles
	closed   bool           // no client is admitted any more, save those that were announced before
	farewell *pgerror.Error // what each client is told as soon as it is in no transaction; nil while they may stay

	waiting []byte // a notice for clients that wait for a backend, of this sweep; nil: not written yet
	evicted string // the limit for whose sake a backend was asked for last
	empty   int    // sweeps that have found neither clients nor backends, in a row

	counts   counts
	totals   status.Totals
	own      conversation.Codes // of errors that weir itself has sent
	wait     status.Histogram
	query    status.Histogram
	transact status.Histogram
	dialling status.Histogram
}

// NewLane makes a lane for a pool. Any goroutine.
func (e *Engine) NewLane(config LaneConfig) *Lane {
	ctx, stop := context.WithCancel(context.Background())
	l := &Lane{
		engine: e, config: config,
		ctx: ctx, stop: stop, next: pool.Never,
		talk: conversation.Shared{Settings: e.env.Settings, Rules: config.rules()},
	}
	l.number = config.Lanes.number()
	l.pool = pool.NewLane(config.Pool, config.Seed, config.Lanes.pool, l.number)
	l.timer.Func, l.rests = l.tick, l.rested
	l.talk.Pid = l.clientPID
	l.talk.Join(&config.Lanes.talk)
	l.shareRecalls()
	l.boundPins()
	l.listener.begin(l)
	return l
}

// Open starts the lane on its loop: it dials from now on. Call it once, before Admit. Any goroutine.
func (l *Lane) Open() {
	l.enter()
	l.engine.loop.Post(l.open)
}

// open is done on the loop, once: by what Open has posted, or by the first client, who may be there before.
func (l *Lane) open() {
	if l.opened {
		return
	}
	l.opened = true
	l.engine.lanes = append(l.engine.lanes, l)
	l.defaults.inherit(l.config.Lanes)
	if l.config.Paused {
		l.pool.Pause(l.now())
	}
	l.contest() // as its pool may have been told before the lane was there
	l.tick()
}

// Lanes are those of the pool. Any goroutine.
func (l *Lane) Lanes() *Lanes { return l.config.Lanes }

// Loop is the loop on which the lane lives. Any goroutine.
func (l *Lane) Loop() *eventloop.Loop { return l.engine.loop }

// Name is how messages call the pool: database/user.
func (l *Lane) Name() string { return l.config.Database + "/" + l.config.User }

// Pardon tells the lane that there are other credentials for its server than those that were refused. Any goroutine.
func (l *Lane) Pardon() {
	l.engine.loop.Post(l.pardon)
}

func (l *Lane) pardon() {
	l.pool.Pardon(l.now())
	l.decided()
}

func (l *Lane) now() pool.Instant { return pool.Instant(l.engine.loop.Now()) }

// tick lets time pass for the pool and sleeps until it next matters.
func (l *Lane) tick() {
	l.next = pool.Never
	l.pool.Tick(l.now())
	l.decided()
}

// schedule sees to it that the pool is ticked when it wants to be. A timer that fires too early does no harm, so only an
// earlier moment moves it: the oldest waiter changes with each transaction.
func (l *Lane) schedule() {
	if next := l.pool.Next(); next < l.next {
		l.next = next
		l.engine.loop.Set(&l.timer, time.Duration(next-l.now()))
	}
}
