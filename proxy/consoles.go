package proxy

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/cancelkey"
	"weir/proxy/console"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/prelogin"
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
	next   uint32
	closed bool
}

type consoleClient struct {
	session *console.Session
	conn    *prelogin.Conn
	secret  []byte
}

func newConsoles(p *Proxy, index int) *consoles {
	s := &consoles{proxy: p, index: index, stats: console.NewStats(p.started), bySlot: map[uint32]*consoleClient{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.served.Go(s.sample)
	return s
}

// sample takes a look each stats_period, for averages.
func (s *consoles) sample() {
	for {
		period := time.NewTimer(time.Duration(s.proxy.current.Load().config.Admin.StatsPeriod))
		select {
		case <-s.ctx.Done():
			period.Stop()
			return
		case <-period.C:
			now := s.proxy.Snapshot()
			s.stats.Sample(&now, s.usage.Now())
		}
	}
}

func place(own bool) (at, most int) {
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
	at, most := place(own)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return pgerror.ShuttingDown
	case s.taken[at] >= most:
		return pgerror.TooManyConsoles(most)
	}
	s.taken[at]++
	s.proxy.clients.consoles(1)
	return nil
}

// release gives a place up.
func (s *consoles) release(own bool) {
	at, _ := place(own)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken[at]--
	s.proxy.clients.consoles(-1)
}

// serve speaks with a client until it leaves. It is called in the code of the connection.
func (s *consoles) serve(c *prelogin.Conn, result login.Result) {
	defer s.release(result.Own)
	client := &consoleClient{conn: c}
	slot, ok := s.enter(client)
	if !ok {
		s.proxy.refuse(result, pgerror.ShuttingDown)
		return
	}
	defer s.leave(slot)
	pid, _ := cancelkey.Pack(s.index, slot)
	secret := cancelkey.NewSecret(rand.Reader)
	key := cancelkey.Short(secret)
	if result.Minor >= 2 {
		long := s.proxy.env.Secrets.Long(pid, secret)
		key = long[:]
	}
	session := console.NewSession(result.Conn, s.options(c, result, pid, key))
	s.mu.Lock()
	client.session, client.secret = session, key
	s.mu.Unlock()
	c.Apart(func() { session.Serve(s.ctx) })
	closeKindly(result.Conn)
}

func (s *consoles) options(c *prelogin.Conn, result login.Result, pid uint32, key []byte) console.Options {
	g := s.proxy.current.Load()
	return console.Options{
		Database: result.Database, User: result.User, Peer: peerOf(c),
		Admin:     result.Own || slices.Contains(g.config.Admin.AdminUsers, result.User),
		IsConsole: g.config.IsConsole, Operator: operator{s.proxy}, Source: source{s.proxy}, Stats: s.stats, Usage: &s.usage,
		Version: console.Version(version()), Greeting: slices.Clone(result.Owed), PID: pid, Secret: key, HungUp: c.HungUp, Log: s.proxy.log,
	}
}

// enter finds a number for a client. False: weir ends.
func (s *consoles) enter(c *consoleClient) (slot uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	for s.bySlot[s.next] != nil {
		s.next = (s.next + 1) % cancelkey.SlotsMax
	}
	slot = s.next
	s.next = (s.next + 1) % cancelkey.SlotsMax
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

// cancel ends what the client with that key waits for.
func (s *consoles) cancel(slot uint32, secret []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.bySlot[slot]; c != nil && c.session != nil && subtle.ConstantTimeCompare(c.secret, secret) == 1 {
		c.session.Cancel()
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
