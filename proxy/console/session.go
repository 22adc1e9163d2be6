package console

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// serverVersion is what clients are told at login: the PgBouncer whose console this is.
const serverVersion = config.PgBouncerVersion + "/bouncer"

// Version is what SHOW VERSION says; weir's own version stands after PgBouncer's, which tools read.
func Version(weir string) string {
	return "PgBouncer " + config.PgBouncerVersion + " (weir " + weir + ")"
}

const (
	// messageMax bounds a client's message, in bytes: a command with its values has less than a thousand.
	messageMax = 64 << 10
	// writeMax is how long a client may take for what the write buffer holds.
	writeMax = 30 * time.Second
	// objectsMax bounds the prepared statements and the portals of a session, of each.
	objectsMax = 256
	// peerCheck is how often a session that waits looks whether its client is still there.
	peerCheck = 100 * time.Millisecond
)

// Options say what a session may do, and with what.
type Options struct {
	Database, User string
	Admin          bool // it may do more than SHOW
	IsConsole      func(database string) bool
	Operator       Operator
	Source         Source
	Stats          *Stats
	Usage          *Counter
	Version        string
	Greeting       []byte // the end of the login
	PID            uint32 // of its cancel key, and the next
	Secret         []byte
	HungUp         func() bool // whether the client is gone; any goroutine may ask
	Peer           string
	Log            *slog.Logger
}

// Counter counts what all sessions do. Its methods may be called on any goroutine.
type Counter struct {
	mu sync.Mutex
	u  Usage
}

// Add changes what was counted.
func (c *Counter) Add(f func(u *Usage)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.u)
}

// Now is what was counted.
func (c *Counter) Now() Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.u
}

// Session is one client of the console. All but Cancel belongs to the goroutine that serves it.
type Session struct {
	o    Options
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
	row  []byte    // under way into out
	late time.Time // the deadline; zero: none

	inTransaction bool // a driver has said BEGIN
	failed        bool // what comes before the next Sync is thrown away
	statements    map[string]Command
	portals       map[string]*portal

	mu     sync.Mutex
	cancel context.CancelFunc // of the command under way; nil between two
}

// NewSession makes a session on a connection that has logged in.
func NewSession(conn net.Conn, o Options) *Session {
	s := &Session{o: o, conn: conn, statements: map[string]Command{}, portals: map[string]*portal{}}
	s.in = bufio.NewReaderSize(counting{conn, s}, 4<<10)
	s.out = bufio.NewWriterSize(written{s}, 64<<10)
	return s
}

// Cancel ends the wait of the command under way, as a cancel request does. Any goroutine.
func (s *Session) Cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}

// written counts and bounds what goes out.
type written struct{ s *Session }

func (w written) Write(p []byte) (int, error) {
	if now := time.Now(); w.s.late.Sub(now) < writeMax/2 {
		w.s.late = now.Add(writeMax)
		_ = w.s.conn.SetDeadline(w.s.late)
	}
	n, err := w.s.conn.Write(p)
	w.s.o.Usage.Add(func(u *Usage) { u.Sent += uint64(n) })
	return n, err
}

// counting counts what comes in.
type counting struct {
	io.Reader
	s *Session
}

func (r counting) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.s.o.Usage.Add(func(u *Usage) { u.Received += uint64(n) })
	return n, err
}

// Serve speaks with the client until it leaves or ctx ends; then somebody must make a read of the connection return. The connection is
// not closed.
func (s *Session) Serve(ctx context.Context) {
	s.o.Usage.Add(func(u *Usage) { u.Clients++; u.Logins++ })
	defer s.o.Usage.Add(func(u *Usage) { u.Clients-- })
	s.greet()
	for {
		if s.in.Buffered() == 0 {
			if s.out.Flush() != nil {
				return
			}
			s.late = time.Time{}
			_ = s.conn.SetDeadline(s.late)
		}
		if ctx.Err() != nil {
			s.farewell()
			return
		}
		kind, body, err := s.receive()
		if err != nil {
			if ctx.Err() != nil {
				s.farewell()
			}
			return
		}
		if !s.handle(ctx, kind, body) {
			_ = s.out.Flush()
			return
		}
	}
}

// farewell tells a client that weir ends.
func (s *Session) farewell() {
	s.fail(pgerror.AdminShutdown)
	_ = s.out.Flush()
}

func (s *Session) greet() {
	b := append([]byte(nil), s.o.Greeting...)
	for _, p := range [][2]string{
		{"server_version", serverVersion},
		{"client_encoding", "UTF8"},
		{"server_encoding", "UTF8"},
		{"DateStyle", "ISO"},
		{"TimeZone", "GMT"},
		{"standard_conforming_strings", "on"},
		{"is_superuser", "on"},
	} {
		b = wire.AppendParameterStatus(b, p[0], p[1])
	}
	b = wire.AppendBackendKeyData(b, s.o.PID, s.o.Secret)
	s.send(wire.AppendReadyForQuery(b, wire.TxIdle))
}

// send writes into the buffer. An error stays with it and shows when it is flushed.
func (s *Session) send(p []byte) { _, _ = s.out.Write(p) }

func (s *Session) fail(e *pgerror.Error) { s.send(wire.AppendErrorResponse(nil, e)) }

func (s *Session) ready() {
	status := wire.TxIdle
	if s.inTransaction {
		status = wire.TxActive
	}
	s.send(wire.AppendReadyForQuery(nil, status))
}

// receive reads one message.
func (s *Session) receive() (kind byte, body []byte, err error) {
	var header [5]byte
	if _, err := io.ReadFull(s.in, header[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(header[1:])
	if n < 4 || n > messageMax {
		s.fail(pgerror.InvalidMessageLength(header[0], n).WithSeverity(pgerror.SeverityFatal))
		_ = s.out.Flush()
		return 0, nil, io.ErrUnexpectedEOF
	}
	body = make([]byte, n-4)
	_, err = io.ReadFull(s.in, body)
	return header[0], body, err
}

// view is a look at weir for one command.
func (s *Session) view() *View {
	return &View{Source: s.o.Source, Stats: s.o.Stats, Version: s.o.Version, Console: s.o.Usage.Now(), now: time.Now()}
}

func (s *Session) asker() asker {
	return asker{database: s.o.Database, user: s.o.User, version: s.o.Version, pid: s.o.PID, now: time.Now()}
}

// run carries a command out, so that a cancel request, the client's end or weir's ends what it waits for.
func (s *Session) run(ctx context.Context, c Command) (result, *pgerror.Error) {
	began := time.Now()
	if s.o.Admin && c.Verb > VerbShow && c.Verb < VerbFake {
		s.o.Log.Info("console command", "command", s.logged(c), "user", s.o.User, "db", s.o.Database, "peer", s.o.Peer)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.cancel = cancel
	s.mu.Unlock()
	stop := make(chan struct{})
	if c.Verb == VerbPause || c.Verb == VerbWaitClose || c.Verb == VerbReload {
		go s.watchPeer(cancel, stop)
	}
	r, err := s.execute(ctx, c)
	close(stop)
	s.mu.Lock()
	s.cancel = nil
	s.mu.Unlock()
	s.o.Usage.Add(func(u *Usage) { u.Queries++; u.QueryTime += time.Since(began) })
	if err != nil {
		s.logError(c, err)
	}
	if s.tracks(c) && err == nil {
		s.inTransaction = c.Tag == "BEGIN" || c.Tag == "START TRANSACTION"
	}
	return r, err
}

// logged is a command as the log has it: of SET without the value, unless SHOW CONFIG shows that, too.
func (s *Session) logged(c Command) string {
	if c.Verb != VerbSet {
		return c.Text
	}
	if setting, ok := settingOf(s.o.Source.Settings(), c.Arg); ok && !setting.Secret {
		return c.Text
	}
	return "SET " + c.Arg + " = ***"
}

func (s *Session) logError(c Command, err *pgerror.Error) {
	attributes := []any{"error", err, "command", s.logged(c), "user", s.o.User, "db", s.o.Database, "peer", s.o.Peer}
	if err.Detail != "" && c.Verb != VerbReload { // whose reason the log has: log readers count such lines
		attributes = append(attributes, "detail", err.Detail)
	}
	s.o.Log.Info("console error", attributes...)
}

// tracks reports whether a command begins or ends what a driver takes for a transaction.
func (s *Session) tracks(c Command) bool {
	switch c.Tag {
	case "BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK":
		return c.Verb == VerbFake
	}
	return false
}

// watchPeer ends a wait when the client is gone.
func (s *Session) watchPeer(cancel context.CancelFunc, stop <-chan struct{}) {
	every := time.NewTicker(peerCheck)
	defer every.Stop()
	for {
		select {
		case <-stop:
			return
		case <-every.C:
			if s.o.HungUp() {
				cancel()
				return
			}
		}
	}
}
