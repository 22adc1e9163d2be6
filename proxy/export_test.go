package proxy

import (
	"encoding/binary"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/router"

	"weir/proxy/status"
)

// SweepEvery has timeouts looked at more often than once a second.
func (o *Options) SweepEvery(d time.Duration) { o.sweepEvery = d }

// BegunAfter has a server not be taken to have begun a request before that time.
func (o *Options) BegunAfter(d time.Duration) { o.begunAfter = d }

// WatchEvery has files looked at more often than once a second.
func (o *Options) WatchEvery(d time.Duration) { o.watchEvery = d }

// Follow has p follow another configuration, as a reload does.
func (p *Proxy) Follow(c *config.Config) error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	load := p.options.Load
	p.options.Load = func() (*config.Config, error) { return c, nil }
	defer func() { p.options.Load = load }()
	return p.reload()
}

// Set changes a setting, as the console's SET does.
func (p *Proxy) Set(section, name, value string) error {
	_, err := operator{p}.Set(section, name, value)
	return err
}

// Seats is how many connections count for a loop.
func (p *Proxy) Seats() int64 { return p.acceptLoops.Taken() }

// ClientsByLoop is how many clients each loop serves.
func (p *Proxy) ClientsByLoop() []int {
	n := make([]int, len(p.engines))
	for i, e := range p.engines {
		n[i] = len(e.Clients())
	}
	return n
}

// HoldLoopOf has the loop that serves the client with that key do nothing until release.
func (p *Proxy) HoldLoopOf(pid uint32) (release func()) {
	loop, _, _ := p.env.Keys.Unpack(pid)
	held, release := p.Hold(loop)
	<-held
	return release
}

// CancelBehind has a cancel request reach the loop of the client with that key after all that was posted there, and does not wait.
func (p *Proxy) CancelBehind(pid, secret uint32) {
	loop, slots, _ := p.env.Keys.Unpack(pid)
	p.engines[loop].Cancel(slots, binary.BigEndian.AppendUint32(nil, secret), func() {})
}

// SpreadPools gives the clients of each pool lanes on all loops in turn, from the first.
func (o *Options) SpreadPools() { o.spread = router.Spread{BackendsPerLane: 1, InTurn: true} }

// Lanes is how many lanes the pools have.
func (p *Proxy) Lanes() (n int) {
	for _, e := range p.engines {
		lanes, _, _, _ := e.Snapshot()
		n += len(lanes)
	}
	return n
}

// Hold has a loop stand still, once it has done what it was told before, until release is called. held is closed when it does.
func (p *Proxy) Hold(loop int) (held <-chan struct{}, release func()) {
	begun, over := make(chan struct{}), make(chan struct{})
	p.engines[loop].Loop().Post(func() {
		close(begun)
		<-over
	})
	return begun, sync.OnceFunc(func() { close(over) })
}

// Kill is the console's KILL of a database.
func (p *Proxy) Kill(database string) error { return operator{p}.Kill(database) }

// ResumeDatabase is the console's RESUME of a database.
func (p *Proxy) ResumeDatabase(database string) error { return operator{p}.Resume(database) }

// Paused reports whether a database is paused by order.
func (p *Proxy) Paused(database string) bool { return operator{p}.isPaused(database) }

// Contest tells a pool that others wait for its places, under that limit.
func (p *Proxy) Contest(database, user, limit string) {
	lane, _, m := p.router.Join(database, user, nil)
	defer m.Leave()
	lane.Lanes().Contest(limit)
}

// LastErrors are those of SHOW ERRORS.
func (p *Proxy) LastErrors() []status.Failure { return source{p}.Failures() }
