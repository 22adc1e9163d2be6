package faultnet

import "time"

// Pause stops reading and writing in direction d. Once it returns, no byte
// passes until Resume, and the sender meets real back-pressure: its socket
// fills. At most one read that had already happened is held back.
func (p *Proxy) Pause(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[d].paused = true
	for k := range p.links {
		k.interrupt(d)
	}
	for p.lanes[d].busy > 0 && p.lanes[d].paused {
		p.changed.Wait()
	}
}

// Resume ends Pause.
func (p *Proxy) Resume(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[d].paused = false
	for k := range p.links {
		k.uninterrupt(d)
	}
	p.changed.Broadcast()
}

// Chunk makes every write in direction d carry at most n bytes; 0 lifts it.
// A receiver slower than the proxy may still read several chunks at once.
func (p *Proxy) Chunk(d Direction, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[d].chunk = max(n, 0)
}

// Delay waits for wait before every write in direction d, so with Chunk it
// sets a rate; 0 lifts it.
func (p *Proxy) Delay(d Direction, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[d].delay = wait
}

// Retarget leads connections that come from now on to another address, as an address does that moves to another machine. Those that are
// open stay where they are.
func (p *Proxy) Retarget(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = address
}

// Cut resets (RST) both sides of all connections that exist. On a unix socket,
// which knows no reset, it closes them.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAll()
}

func (p *Proxy) cutAll() {
	for k := range p.links {
		k.cut()
	}
}

// CutAfter cuts each connection, as Cut does, right after it has carried n
// more bytes in direction d; for a connection to come that is its first n.
// 0 lifts it.
func (p *Proxy) CutAfter(d Direction, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = max(n, 0)
	p.lanes[d].cutAfter = n
	for k := range p.links {
		k.cutAt[d] = 0
		if n > 0 {
			k.cutAt[d] = k.carried[d] + n
		}
	}
}

// CloseWrite ends direction d of the connections that exist: the receiver
// reads end of file, and what the sender says from now on is not read. The
// other direction goes on.
func (p *Proxy) CloseWrite(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.links {
		k.end(d)
		k.interrupt(d)
	}
	p.changed.Broadcast()
}

// SetMode says what becomes of new connections; those that exist stay as they
// are. Its error can only come from listening again after Refuse.
func (p *Proxy) SetMode(m Mode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || m == p.mode {
		return nil
	}
	if m == Refuse {
		p.mode = m
		p.listening.stop()
		return p.listening.hold()
	}
	if p.mode == Refuse {
		l, err := p.listening.resume()
		if err != nil {
			return err
		}
		p.wg.Add(1)
		go p.accept(l)
	}
	p.mode = m
	return nil
}
