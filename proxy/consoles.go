package proxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/cancelkey"
	"weir/proxy/console"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/prelogin"
	"weir/proxy/socket"
	"weir/proxy/status"
)

const (
	// consolesMax bounds the clients of the console, each a goroutine.
	consolesMax = 64
	// ownConsolesMax are for the account that weir runs as, and root, beside those: there is a way in when all else is full.
	ownConsolesMax = 16
)

// consoles are the clients of the admin console. Each is served apart, on a goroutine of its own; the loop only tells it when there is
// something to read.
type consoles struct {
	proxy *Proxy
	index int // in place of a loop's, in cancel keys
	usage console.Counter
	stats *console.Stats

	ctx    context.Context // ends with the proxy
	end    context.CancelFunc
	served sync.WaitGroup

	mu     sync.Mutex
	taken  [2]int // places: of others, of weir's own account
	bySlot map[uint32]*consoleClient
	slots  cancelkey.Turn
	closed bool
}

type consoleClient struct {
	session *console.Session
	conn    *prelogin.Conn
	secret  []byte
	ends    context.CancelFunc
	shown   status.Client // but for its times
	began   time.Time
}

func newConsoles(p *Proxy, index int) *consoles {
	s := &consoles{proxy: p, index: index, stats: console.NewStats(p.started), bySlot: map[uint32]*consoleClient{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.served.Go(s.sample)
	return s
}

// sample takes a look each stats_period, for averages and the log. The period may be changed while it passes: it is asked for once a second.
func (s *consoles) sample() {
	for last := time.Now(); ; {
		left := time.Until(last.Add(time.Duration(s.proxy.current.Load().Config.Admin.StatsPeriod)))
		if left <= 0 {
			last = time.Now()
			now := s.proxy.Snapshot()
			s.log(s.stats.Sample(&now, s.usage.Now()))
			continue
		}
		wait := time.NewTimer(min(left, time.Second))
		select {
		case <-s.ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// log writes the line of a stats_period.
func (s *consoles) log(a console.Activity) {
	switch c := s.proxy.current.Load().Config; {
	case !c.Log.Stats:
	case c.PgBouncer:
		s.proxy.log.Info(a.String())
	default:
		s.proxy.log.Info("stats", a.Attributes()...)
	}
}

func seatOf(own bool) (at, most int) {
	if own {
		return 1, ownConsolesMax
	}
	return 0, consolesMax
}

// admit finds out whether a user may use the console, and takes a place.
func (s *consoles) admit(c *config.Config, user string, own bool) *pgerror.Error {
	if !own && !slices.Contains(c.Admin.AdminUsers, user) && !slices.Contains(c.Admin.StatsUsers, user) {
		return pgerror.ConsoleNotAllowed
	}
	at, most := seatOf(own)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return pgerror.ShuttingDown
	case s.taken[at] >= most:
		return pgerror.TooManyConsoles(most)
	}
	if err := s.proxy.clients.AdmitConsole(user, own || slices.Contains(c.Admin.AdminUsers, user)); err != nil {
		return err
	}
	s.taken[at]++
	return nil
}

// release gives a place up.
func (s *consoles) release(user string, own bool) {
	at, _ := seatOf(own)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[at]--
	s.proxy.clients.LeaveConsole(user)
}

// serve speaks with a client until it leaves. It is called in the code of the connection.
func (s *consoles) serve(c *prelogin.Conn, result login.Result) {
	defer s.release(result.User, result.Own)
	ctx, ends := context.WithCancel(s.ctx)
	defer ends()
	client := &consoleClient{conn: c, ends: ends, shown: s.shown(c, result), began: time.Now()}
	slot, ok := s.enter(client)
	if !ok {
		s.proxy.refuse(result, pgerror.ShuttingDown)
		return
	}
	defer s.leave(slot)
	pid, _ := s.proxy.env.Keys.Pack(s.index, slot)
	secret := s.proxy.env.Keys.NewSecret(rand.Reader)
	key := cancelkey.Short(secret)
	if longKey(result, s.proxy.current.Load()) {
		long := s.proxy.env.Keys.Long(pid, secret)
		key = long[:]
	}
	session := console.NewSession(result.Conn, s.options(c, result, pid, key))
	s.mu.Lock()
	client.session, client.secret = session, key
	s.mu.Unlock()
	c.Apart(func() { session.Serve(ctx) })
	closeKindly(result.Conn)
}

func (s *consoles) options(c *prelogin.Conn, result login.Result, pid uint32, key []byte) console.Options {
	g := s.proxy.current.Load()
	version := console.Version(s.proxy.options.Version)
	if g.Config.PgBouncer {
		version = "PgBouncer " + config.PgBouncerVersion // what -V says
	}
	return console.Options{
		Database: result.Database, User: result.User, Peer: peerOf(c),
		Admin:     result.Own || slices.Contains(g.Config.Admin.AdminUsers, result.User),
		IsConsole: g.Config.IsConsole, Operator: operator{s.proxy}, Source: source{s.proxy}, Stats: s.stats, Usage: &s.usage,
		Version: version, Greeting: slices.Clone(result.Owed), PID: pid, Secret: key, HungUp: c.HungUp, Log: s.proxy.log,
	}
}

// enter finds a number for a client. False: weir ends.
func (s *consoles) enter(c *consoleClient) (slot uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	slot = s.slots.Next(func(slot uint32) bool { return s.bySlot[slot] != nil })
	s.bySlot[slot] = c
	s.served.Add(1)
	return slot, true
}

func (s *consoles) leave(slot uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bySlot, slot)
	s.served.Done()
}

// shown is a client as SHOW CLIENTS shows it.
func (s *consoles) shown(c *prelogin.Conn, result login.Result) status.Client {
	d := status.Client{
		ID: s.proxy.env.Number(), Database: result.Database, User: result.User, PoolDatabase: config.ConsolePgBouncer, PoolUser: config.ConsolePgBouncer,
		State: status.ClientIdle, // it never has a backend
	}
	if c.RemoteAddr().Network() == "unix" {
		d.PID = socket.PeerPID(c)
	}
	d.Remote, _ = netip.ParseAddrPort(c.RemoteAddr().String())
	d.Local, _ = netip.ParseAddrPort(c.LocalAddr().String())
	if result.TLS != nil {
		d.TLS = socket.Protection(result.TLS.TLS().ConnectionState())
	}
	for _, p := range result.Settings {
		if p.Name == "application_name" {
			d.App = p.Value
		}
	}
	return d
}

// clients are those that are served.
func (s *consoles) clients() (all []status.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.bySlot {
		d := c.shown
		d.Age, d.Since = time.Since(c.began), time.Since(c.began)
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b status.Client) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// kill ends the client with that number, and reports whether there is one.
func (s *consoles) kill(number uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.bySlot {
		if c.shown.ID == number {
			c.ends()
			_ = c.conn.SetDeadline(time.Unix(1, 0)) // whatever blocks returns
			return true
		}
	}
	return false
}

// cancel ends what the client with that key waits for.
func (s *consoles) cancel(slots cancelkey.Slots, secret []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot, c := range s.bySlot {
		if slots.Has(slot) && c.session != nil && s.proxy.env.Keys.Same(c.secret, secret) {
			c.session.Cancel()
		}
	}
}

// close sends all clients away and returns when they are gone.
func (s *consoles) close() {
	s.end()
	s.mu.Lock()
	s.closed = true
	for _, c := range s.bySlot {
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // whatever blocks returns
	}
	s.mu.Unlock()
	s.served.Wait()
}
