package proxy

import (
	"time"

	"weir/proxy/console"
	"weir/proxy/socket"
)

// forEver stands for a grace that has no end.
const forEver = 100 * 365 * 24 * time.Hour

// shutdown ends weir as an operator wishes. It returns at once; Stopped tells the end. Until then the unix socket serves the console.
func (p *Proxy) shutdown(how console.Shutdown) error {
	err := p.router.order(func(o *orders) error {
		if o.ending && how != console.ShutdownNow {
			return errEnding
		}
		o.ending = true
		return nil
	})
	if err != nil {
		return err
	}
	if how == console.ShutdownNow {
		go p.Stop()
		return nil
	}
	grace := forEver
	if how == console.ShutdownWaitForServers {
		grace = 0
	}
	p.log.Info("shutting down by order of the console", "clients", p.clients.count(), "wait_for_clients", how == console.ShutdownWaitForClients)
	p.endAccepting(func(network string) bool { return network != "unix" })
	gone := make(chan struct{}, len(p.engines)+1)
	for _, e := range p.engines {
		e.Drain(grace, func() { gone <- struct{}{} })
	}
	go func() {
		p.replications.drain(grace, p.stopped)
		gone <- struct{}{}
	}()
	go func() {
		for range len(p.engines) + 1 {
			select {
			case <-gone:
			case <-p.stopped: // by a signal
				return
			}
		}
		p.Stop()
	}()
	return nil
}

// endAccepting closes the listeners of some networks, those of them that are open.
func (p *Proxy) endAccepting(which func(network string) bool) {
	p.closing.Lock()
	defer p.closing.Unlock()
	for i, l := range p.listeners {
		if p.closed[l] || !which(l.Addr().Network()) {
			continue
		}
		if p.closed == nil {
			p.closed = map[*socket.Listener]bool{}
		}
		p.closed[l] = true
		for at := i; at < len(p.accepting); at += len(p.listeners) { // each loop has one for each listener
			p.accepting[at].Close()
		}
		_ = l.Close()
	}
}
