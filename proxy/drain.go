package proxy

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"weir/proxy/ports"
	"weir/proxy/status"
)

// The end of a weir. It is told to stop: it goes on as before for shutdown_grace, and is not ready any more. Then it admits no client, takes
// cancel requests only, and lets its clients go on for drain_timeout; then it sends each away as soon as it is in no transaction. It stops
// when the last one is gone. Meanwhile the next weir may take its addresses.

var errDraining = errors.New("draining")

// Event is what a supervisor may want to know.
type Event uint8

// The events.
const (
	Serving   Event = iota // it admits clients; also at the end of each reload, whatever came of it
	Reloading              // it reads its configuration anew
	Stopping               // it has been told to stop
)

func (p *Proxy) tell(e Event) {
	if p.options.Tell != nil {
		p.options.Tell(e)
	}
}

// Ready reports why weir should get no new clients, or nil.
func (p *Proxy) Ready() error {
	if p.leaving.Load() {
		return errDraining
	}
	return nil
}

// Alive returns when all loops have answered.
func (p *Proxy) Alive() {
	for _, loop := range p.loops {
		loop.Call(func() {})
	}
}

// Drain begins the end, as on SIGTERM. It returns at once; Stopped tells the end.
func (p *Proxy) Drain() {
	c := p.current.Load().Config.Timeouts
	p.leave(time.Duration(c.ShutdownGrace), drain{timeout: time.Duration(c.DrainTimeout)})
}

// DrainServers is Drain without patience: clients that are in no transaction are sent away at once. The console is open over the unix socket
// until the end, as it is with SHUTDOWN WAIT_FOR_SERVERS.
func (p *Proxy) DrainServers() { p.leave(0, drain{keepUnix: true}) }

// DrainClients is Drain with all patience: no client is sent away. The console is open over the unix socket until the end.
func (p *Proxy) DrainClients() { p.leave(0, drain{timeout: forever, keepUnix: true}) }

// forever is beyond any process's end, and may be added to a loop's clock.
const forever = time.Duration(math.MaxInt64 / 2)

// drain says how clients leave.
type drain struct {
	timeout  time.Duration
	keepUnix bool // logins over the unix socket go on
}

// limit is the timeout for the log; a file of PgBouncer's is served with ten years.
func (d drain) limit() any {
	if d.timeout >= 10*365*24*time.Hour {
		return "none"
	}
	return d.timeout
}

// leave begins a drain after a grace.
func (p *Proxy) leave(grace time.Duration, d drain) {
	if p.leaving.Swap(true) {
		return
	}
	p.tell(Stopping)
	if grace > 0 {
		p.log.Info("stopping: clients are served as before for a while", "shutdown_grace", grace)
	}
	go func() {
		over := time.NewTimer(grace)
		defer over.Stop()
		select {
		case <-over.C:
			p.drain(d)
		case <-p.stopped:
		}
	}()
}

// drain returns when the last client is gone, or weir has stopped.
func (p *Proxy) drain(d drain) {
	p.log.Info("draining", "clients", p.clients.Count(), "drain_timeout", d.limit())
	if p.ports.GiveWay(p.ctx, d.keepUnix) {
		p.await(begunLogins, func() bool { return p.logins.Snapshot().Now == 0 })
	}
	p.admitNone()
	go p.cedePorts(d.keepUnix)
	var empty sync.WaitGroup
	for _, e := range p.engines {
		empty.Add(1)
		e.Drain(d.timeout, sync.OnceFunc(empty.Done))
	}
	gone := make(chan struct{})
	go func() {
		p.replications.Drain(d.timeout, p.stopped)
		empty.Wait()
		close(gone)
	}()
	p.awaitDrained(gone, d.timeout)
	p.Stop()
}

// lastWork is how long a weir that stops waits, once the last client is gone, for what clients have left: a query of one that has vanished or was cut
// is cancelled, or it would go on at the server, with its locks.
const lastWork = 5 * time.Second

// waitedForEvery is how often a drain logs which clients it waits for.
const waitedForEvery = time.Minute

// awaitDrained returns when the last client is gone or the proxy has stopped, and tells the log what takes so long. Clients that have been told to go
// and have not read that yet take two seconds at most, and no line.
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
			if n := p.atWork(); n > 0 {
				p.log.Warn("drain: clients in a transaction are waited for; a second SIGTERM cuts them", "clients", n)
			}
			over.Reset(waitedForEvery)
		}
	}
}

// atWork is how many clients have a backend.
func (p *Proxy) atWork() (n int) {
	var s status.Snapshot
	p.lookAtPools(&s)
	for i := range s.Pools {
		n += s.Pools[i].Clients[status.ClientActive]
	}
	return n
}

// left is how many backends are not done with what a client has left.
func (p *Proxy) left() (n int) {
	for _, e := range p.engines {
		n += e.Left()
	}
	return n
}

// begunLogins is how long a weir that gives way to the next one waits for the logins that have begun at it.
const begunLogins = 2 * time.Second

// await returns when something has come true, or after a time, or when the proxy stops.
func (p *Proxy) await(most time.Duration, done func() bool) {
	ctx, end := context.WithTimeout(p.ctx, most)
	defer end()
	poll(ctx, done)
}

// pollEvery is how often poll looks.
const pollEvery = 20 * time.Millisecond

// poll looks now and then whether something has come true, and returns when it has, or ctx has ended. It reports the former.
func poll(ctx context.Context, done func() bool) bool {
	look := time.NewTicker(pollEvery)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// cedePorts leaves the addresses to the next weir, that of HTTP included.
func (p *Proxy) cedePorts(keepUnix bool) {
	how := ports.Ceding{
		KeepUnix: keepUnix || p.besidePeers(),
		AtOnce:   p.current.Load().Config.PgBouncer, // as PgBouncer does: who connects now is to go elsewhere
	}
	if p.web != nil {
		how.Beside = p.web
	}
	p.ports.Cede(p.ctx, how)
}

// besidePeers reports whether other weirs listen at the same addresses: these pass cancel requests on over the unix socket, which is this
// one's own.
func (p *Proxy) besidePeers() bool {
	c := p.current.Load().Config
	return c.Listen.ReusePort && c.Listen.PeerID.Number != 0
}

// Stop ends everything: clients are told 57P01, what their backends are doing is cancelled, backends are closed. It returns when that is done,
// which takes no longer than servers take to cancel, and lastWork at most.
func (p *Proxy) Stop() {
	p.stopOnce.Do(func() {
		p.leaving.Store(true)
		p.ports.Close()
		p.admitNone()
		if p.router != nil { // else Start has failed before any client could come
			p.cut()
		}
		p.stop()
		p.logins.SendAway()
		p.tasks.Wait()
		if p.consoles != nil {
			p.consoles.close()
		}
		if p.replications != nil {
			p.replications.Close()
		}
		for _, e := range p.engines {
			e.Stop()
			<-e.Done()
		}
		if p.accounts != nil {
			p.accounts.Close()
		}
		p.tracer.Close()
		p.closeHTTP()
		p.log.Info("weir has stopped")
		close(p.stopped)
	})
	<-p.stopped
}

// cut ends all clients, and returns when servers are done with what they have left.
func (p *Proxy) cut() {
	for _, e := range p.engines {
		e.Cut()
	}
	p.await(lastWork, func() bool { return p.left() == 0 })
}

// closed reports whether a client that logs in over a connection is sent away, whatever it wants. A cancel request is no login.
func (p *Proxy) closed() bool { return p.admitting.Err() != nil }
