// Package proxy is weir as a whole. It listens, logs clients in, finds the pool of each and hands the client to the event loop on which
// that pool lives. It counts what spans pools, tells the state of all of them, and ends in good order.
//
// Connections are accepted and logged in on the loops, as coroutines (package prelogin); then they belong to an engine (package
// relay). Dials and HTTP are ordinary goroutines. It may import everything below proxy, and nothing outside of weir but the
// standard library.
package proxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"weir/config"
	"weir/proxy/accounts"
	"weir/proxy/cancelkey"
	"weir/proxy/clients"
	"weir/proxy/descriptors"
	"weir/proxy/dial"
	"weir/proxy/eventloop"
	"weir/proxy/generation"
	"weir/proxy/logins"
	"weir/proxy/logline"
	"weir/proxy/peers"
	"weir/proxy/ports"
	"weir/proxy/prelogin"
	"weir/proxy/relay"
	"weir/proxy/replication"
	"weir/proxy/router"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/tracing"
)

// Proxy is a running weir. Its methods may be called on any goroutine.
type Proxy struct {
	current generation.Current
	options Options
	log     *slog.Logger
	lines   *logline.Limited // of the log, that strangers cause
	started time.Time

	env      *relay.Env
	engines  []*relay.Engine
	loops    []*eventloop.Loop // of the engines
	router   *router.Router
	targets  *dial.Targets
	dialer   *dial.Dialer
	clients  *clients.Counts
	accounts *accounts.Accounts
	logins   *logins.Pending
	tracer   *tracing.Tracer // nil: nothing is traced

	ports       *ports.Ports    // told of reloads under reloading
	acceptLoops *prelogin.Loops // with the connections that each has

	consoles     *consoles
	replications *replication.Connections
	peers        *peers.Group
	web          *web
	trimmer      trimmer

	reloading sync.Mutex

	ctx       context.Context // ends with the proxy
	stop      context.CancelFunc
	admitting context.Context // ends when no client is admitted any more: logins under way are refused
	admitNone context.CancelFunc
	tasks     sync.WaitGroup // logins
	leaving   atomic.Bool    // it has been told to stop
	stopOnce  sync.Once
	stopped   chan struct{}
}

// Options are what a weir is told beside its configuration.
type Options struct {
	// Load reads the configuration anew, for Reload. nil: there is nothing to read.
	Load func() (*config.Config, error)
	// Level is that of the log, which follows the configuration. nil: it does not.
	Level *slog.LevelVar
	// Sockets listen already: clients come to them, and not to the addresses of the configuration. They stay open in the process that
	// has made them. Start takes them over.
	Sockets []*os.File
	// Version is weir's own, as the console tells it.
	Version string
	// Tell is told what becomes of weir, one call after the other. It must not block. nil: nothing is told.
	Tell func(Event)

	sweepEvery time.Duration // see relay.Env
	begunAfter time.Duration // likewise
	watchEvery time.Duration // see watch
	spread     router.Spread
}

// Start listens and serves until Stop, or until Drain has come to its end. The configuration has been checked.
func Start(ctx context.Context, c *config.Config, log *slog.Logger, o Options) (*Proxy, error) {
	g, err := generation.New(c, log)
	if err != nil {
		return nil, err
	}
	loops := loopCount(c.Loops.Count, runtime.GOMAXPROCS(0))
	p, err := newProxy(ctx, g, loops, log, o)
	if err != nil {
		return nil, err
	}
	if err := p.serve(ctx, g, loops); err != nil {
		p.Stop()
		return nil, err
	}
	p.tell(Serving)
	if o.Load != nil {
		go p.watch()
	}
	log.Info("weir serves", "listen", p.Addresses(), "http", p.HTTPAddress(), "loops", len(p.engines), "auth", c.Auth.Type.String(),
		"tls", g.ClientTLS.Config() != nil)
	g.Descriptors.Warn(log, c)
	return p, nil
}

// newProxy is a weir of which nothing runs yet.
func newProxy(ctx context.Context, g *generation.Generation, loops int, log *slog.Logger, o Options) (*Proxy, error) {
	c := g.Config
	id, err := c.PeerNumber()
	if err != nil {
		return nil, err
	}
	tracer, err := tracing.Open(c.Tracing, log)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	p := &Proxy{
		options: o, log: log, lines: logline.NewLimited(log), started: time.Now(),
		env: &relay.Env{
			Log: log, Settings: new(session.Table), Keys: cancelkey.New(id, loops+loopsBeside, rand.Reader), SweepEvery: o.sweepEvery, BegunAfter: o.begunAfter,
			PgBouncer: c.PgBouncer,
		},
		tracer: tracer, logins: logins.New(c.Limits.MaxLogins), ports: ports.New(log), peers: peers.New(), stopped: make(chan struct{}),
	}
	p.env.Vacate = p.vacate
	if tracer != nil {
		p.env.Tracer = tracer
	}
	p.current.Store(g)
	p.ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.admitting, p.admitNone = context.WithCancel(p.ctx)
	return p, nil
}

// serve starts the loops and lets clients in, last of all. After an error Stop ends what has begun.
func (p *Proxy) serve(ctx context.Context, g *generation.Generation, loops int) error {
	if err := p.openEngines(loops); err != nil {
		return err
	}
	p.assemble(g)
	p.follow(g)
	if err := p.ports.Listen(ctx, g.Config, p.options.Sockets); err != nil {
		return err
	}
	if err := p.openHTTP(); err != nil {
		return err
	}
	p.router.OpenMinimal()
	p.acceptLoops = prelogin.NewLoops(p.loops)
	return p.ports.Open(p.acceptLoops, acceptHandler{p})
}

// assemble makes the parts that know the engines, and acquaints them with each other.
func (p *Proxy) assemble(g *generation.Generation) {
	p.clients = clients.New(g)
	p.targets = dial.NewTargets(&p.current, p.log)
	p.accounts = accounts.New(&p.current, p.targets)
	p.dialer = dial.NewDialer(p.targets, p.accounts.Refresh)
	p.router = router.New(&p.current, p.engines, p.dialer)
	p.router.Forgotten = p.trimmer.leaves
	p.router.Spread = cmp.Or(p.options.spread, router.UsualSpread)
	p.accounts.TurnsAway = p.router.TurnsAway
	if g.Config.PgBouncer {
		p.targets.Hosts.Passed, p.router.AutoDatabase = p.logPassedHost, p.logAutoDatabase
	}
	p.replications = replication.New(replication.Parts{
		Current: &p.current, Keys: p.env.Keys, Index: len(p.engines), Number: p.env.Number, Places: p.router.Places, Dialer: p.dialer, Targets: p.targets,
		Log: p.log, Lines: p.lines,
	})
	p.consoles = newConsoles(p, len(p.engines)+1)
}

// follow makes a generation the present one, for all parts: clients that come from now on are served as it says.
func (p *Proxy) follow(g *generation.Generation) {
	c := g.Config
	g.Login, g.Descriptors = p.loginOptions(g), descriptors.ShareOut(socket.DescriptorLimit(), c, len(p.engines))
	p.current.Store(g)
	p.logins.Limit(g.Descriptors.Logins(c))
	p.clients.Renew(g)
	p.tracer.Follow(c.Tracing)
	p.ports.Follow(c)
	p.router.Renew(g)
	p.replications.Renew(g)
	p.targets.Hosts.Keep(c)
	p.peers.Configure(peerSettings(g))
	for _, e := range p.engines {
		e.TendSilence(generation.ServerTCP(c).Silence())
	}
	if p.options.Level != nil {
		p.options.Level.Set(c.Log.Level)
	}
}

// vacate closes the idle backends of all pools that have no client, and the idle connections of auth_query.
func (p *Proxy) vacate() {
	p.accounts.Vacate()
	for _, e := range p.engines {
		e.Vacate()
	}
}

// Addresses are where weir listens, with the ports that the system chose.
func (p *Proxy) Addresses() []string { return p.ports.Addresses() }

// Stopped is closed when the proxy has ended.
func (p *Proxy) Stopped() <-chan struct{} { return p.stopped }
