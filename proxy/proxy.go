// Package proxy is weir as a whole. It listens, logs clients in, finds the pool of each and hands the client to the event loop on which
// that pool lives. It counts what spans pools, tells the state of all of them, and ends in good order.
//
// Connections are accepted and logged in on the loops, as coroutines (package prelogin); then they belong to an engine (package
// relay). Dials and HTTP are ordinary goroutines. It may import everything below proxy, and nothing outside of weir but the
// standard library.
package proxy

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"weir/config"
	"weir/proxy/cancelkey"
	"weir/proxy/eventloop"
	"weir/proxy/prelogin"
	"weir/proxy/relay"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/telemetry"
)

// Proxy is a running weir. Its methods may be called on any goroutine.
type Proxy struct {
	current current
	log     *slog.Logger
	started time.Time

	env      *relay.Env
	engines  []*relay.Engine
	loops    []*eventloop.Loop // of the engines
	router   *router
	clients  *clientCounts
	accounts *accounts
	logins   *logins

	descriptors descriptors

	listeners []*socket.Listener
	accepting []*prelogin.Listener

	replications *replications
	dials        turns // of connections for replication
	web          *telemetry.Server
	trimmer      trimmer

	ctx                     context.Context // ends with the proxy: logins under way are refused
	stop                    context.CancelFunc
	tasks                   sync.WaitGroup // logins
	draining                atomic.Bool
	listenersOnce, stopOnce sync.Once
	stopped                 chan struct{}
}

// Start listens and serves until Stop, or until Drain has come to its end. The configuration has been checked.
func Start(ctx context.Context, c *config.Config, log *slog.Logger) (*Proxy, error) {
	g, err := newGeneration(c, log)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		log: log, started: time.Now(),
		env:     &relay.Env{Log: log, Settings: new(session.Table), Secrets: cancelkey.NewStretcher(rand.Reader), PgBouncer: c.PgBouncer},
		stopped: make(chan struct{}),
	}
	loops := loopCount(c.Loops.Count, runtime.GOMAXPROCS(0))
	p.descriptors = shareOut(socket.DescriptorLimit(), c, loops)
	p.logins = newLogins(p.descriptors.logins(c))
	p.env.Vacate = p.vacate
	p.current.Store(g)
	p.ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := p.openEngines(loops); err != nil {
		p.Stop()
		return nil, err
	}
	p.clients = newClientCounts(g)
	targets := &targets{current: &p.current, credentials: newCredentials(), notices: &serverNotices{log: p.log}}
	p.accounts = newAccounts(&p.current, targets)
	p.router = newRouter(&p.current, p.engines, &dialer{targets: targets, accounts: p.accounts})
	p.replications = newReplications(len(p.engines), p.env.Secrets)
	p.follow(g)
	if err := p.listen(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	if err := p.openHTTP(); err != nil {
		p.Stop()
		return nil, err
	}
	p.router.openMinimal()
	if err := p.openListeners(); err != nil {
		p.Stop()
		return nil, err
	}
	log.Info("weir serves", "listen", p.Addresses(), "http", p.HTTPAddress(), "loops", len(p.engines), "auth", c.Auth.Type.String(),
		"tls", g.clientTLS.Config() != nil)
	p.descriptors.warn(log, c)
	return p, nil
}

// loopCount chooses the number of event loops. On one or two cores one loop is faster than two: what it saves in switches
// between threads is more than a second core would give, which PostgreSQL has use for.
func loopCount(configured, cores int) int {
	switch {
	case configured > 0:
		return configured
	case cores <= 2:
		return 1
	default:
		return cores / 2
	}
}

// follow makes a generation the present one, for all parts: clients that come from now on are served as it says.
func (p *Proxy) follow(g *generation) {
	g.login = p.loginOptions(g)
	p.current.Store(g)
	p.clients.renew(g)
	p.router.renew(g)
}

// vacate closes the idle backends of all pools that have no client, and the idle connections of auth_query.
func (p *Proxy) vacate() {
	p.accounts.directory.Vacate()
	for _, e := range p.engines {
		e.Vacate()
	}
}

func (p *Proxy) openEngines(loops int) error {
	if runtime.GOMAXPROCS(0) <= loops {
		runtime.GOMAXPROCS(loops + 1) // a loop holds one while it sleeps for a moment; dials and HTTP need another
	}
	for i := range loops {
		loop, err := relay.NewLoop()
		if err != nil {
			return err
		}
		e := relay.NewEngine(p.env, i, loop)
		p.engines, p.loops = append(p.engines, e), append(p.loops, loop)
		go e.Run()
		e.TendSilence(time.Duration(p.current.Load().config.Timeouts.ServerTCPTimeout))
	}
	return nil
}

// openListeners has every loop accept at every listener: where a pool lives is known only once its client has logged in.
func (p *Proxy) openListeners() error {
	for _, loop := range p.loops {
		for _, l := range p.listeners {
			d, err := prelogin.Open(loop, l, acceptHandler{p})
			if err != nil {
				return err
			}
			p.accepting = append(p.accepting, d)
		}
	}
	return nil
}

func (p *Proxy) listen(ctx context.Context) error {
	c := p.current.Load().config.Listen
	keepAlive := socket.KeepAlive{
		Enable: c.TCPKeepalive, Count: c.TCPKeepcnt, Idle: time.Duration(c.TCPKeepidle), Interval: time.Duration(c.TCPKeepintvl),
		UserTimeout: time.Duration(c.TCPUserTimeout),
	}
	for _, address := range c.Addresses {
		l, err := socket.ListenTCP(ctx, address, c.Backlog, keepAlive)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		p.listeners = append(p.listeners, l)
	}
	if c.UnixSocketDir == "" {
		return nil
	}
	group, err := groupID(c.UnixSocketGroup)
	if err != nil {
		return fmt.Errorf("unix_socket_group: %w", err)
	}
	l, err := socket.ListenUnix(ctx, c.UnixSocketDir, p.unixPort(), fs.FileMode(c.UnixSocketMode), group, c.Backlog)
	if err != nil {
		return fmt.Errorf("listen in %s: %w", c.UnixSocketDir, err)
	}
	p.listeners = append(p.listeners, l)
	return nil
}

// groupID looks a group up by its name or number; -1 is none.
func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if id, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(id), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// unixPort is the number in the unix socket's name: the port of the first TCP listener, as PostgreSQL's clients expect, also
// where the system chose it.
func (p *Proxy) unixPort() int {
	if port := p.current.Load().config.Listen.UnixSocketPort; port != 0 {
		return port
	}
	for _, l := range p.listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			return a.Port
		}
	}
	return p.current.Load().config.Listen.SocketPort()
}

// Addresses are where weir listens, with the ports that the system chose.
func (p *Proxy) Addresses() []string {
	addresses := make([]string, len(p.listeners))
	for i, l := range p.listeners {
		addresses[i] = l.Addr().String()
	}
	return addresses
}

// Stopped is closed when the proxy has ended.
func (p *Proxy) Stopped() <-chan struct{} { return p.stopped }

// Stop ends everything at once: clients are told 57P01, backends are closed. It returns when that is done.
func (p *Proxy) Stop() {
	p.stopOnce.Do(func() {
		p.draining.Store(true)
		p.endLogins()
		p.tasks.Wait()
		if p.replications != nil {
			p.replications.close()
		}
		for _, e := range p.engines {
			e.Stop()
			<-e.Done()
		}
		if p.accounts != nil {
			p.accounts.close()
		}
		p.closeHTTP()
		p.log.Info("weir has stopped")
		close(p.stopped)
	})
	<-p.stopped
}

// endLogins accepts no more connections and ends the logins that are under way.
func (p *Proxy) endLogins() {
	p.listenersOnce.Do(func() {
		for _, d := range p.accepting {
			d.Close()
		}
		for _, l := range p.listeners {
			_ = l.Close()
		}
		p.stop()
		p.logins.sendAway()
	})
}

// waitedForEvery is how often a drain logs which clients it waits for.
const waitedForEvery = time.Minute

// Drain stops accepting and lets clients go on for drain_timeout; then each is sent away with 57P01 as soon as it is in no
// transaction. Transactions are waited for, however long they take. It returns at once; Stopped tells the end.
func (p *Proxy) Drain() {
	if p.draining.Swap(true) {
		return
	}
	grace := time.Duration(p.current.Load().config.Timeouts.DrainTimeout)
	p.log.Info("draining", "clients", p.clients.count(), "drain_timeout", grace)
	p.endLogins()
	var empty sync.WaitGroup
	for _, e := range p.engines {
		empty.Add(1)
		e.Drain(grace, sync.OnceFunc(empty.Done))
	}
	gone := make(chan struct{})
	go func() {
		p.tasks.Wait()
		p.replications.drain(grace, p.stopped)
		empty.Wait()
		close(gone)
	}()
	go func() {
		p.awaitDrained(gone, grace)
		p.Stop()
	}()
}

// awaitDrained returns when the last client is gone or the proxy has stopped, and tells the log what takes so long.
func (p *Proxy) awaitDrained(gone <-chan struct{}, grace time.Duration) {
	over := time.NewTimer(grace + 2*time.Second) // the loops look at their clients about once a second
	defer over.Stop()
	for {
		select {
		case <-gone:
			return
		case <-p.stopped:
			return
		case <-over.C:
			p.log.Warn("drain: clients in a transaction are waited for; a second SIGTERM cuts them", "clients", p.clients.count())
			over.Reset(waitedForEvery)
		}
	}
}

// Ready reports why weir should get no new clients, or nil.
func (p *Proxy) Ready() error {
	if p.draining.Load() {
		return errDraining
	}
	return nil
}

// seed is random, so that weirs that start together do not expire their backends together.
func seed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.NativeEndian.Uint64(b[:])
}
