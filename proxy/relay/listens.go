package relay

import (
	"weir/proxy/conversation"
)

// listenErrand sends an errand about listening, for which the client waits.
func (b *Backend) listenErrand(e *conversation.Errand) {
	b.client.move(clientSwitching)
	b.start(e)
}

// takeOn has the backend listen for its client.
func (b *Backend) takeOn() {
	x := &b.lane.listener
	x.hub.Begin(b.client.talk.Sub, x.now())
	b.listenErrand(conversation.TakeOn)
	x.act()
}

// handOver has the listener connection listen for the backend's client. Until it does, the backend stays. True: it has left the client.
func (b *Backend) handOver() bool {
	c, x := b.client, &b.lane.listener
	if c.talk.Sub == nil {
		c.talk.Sub = x.hub.Subscribe(uint32(c.id))
	}
	channels := b.talk.Channels()
	if len(channels) == 0 {
		x.hub.Release(c.talk.Sub)
		b.talk.Unlistened()
		x.act()
		return b.follow()
	}
	if !x.hub.Reserve(c.talk.Sub, channels) {
		x.act()
		return false
	}
	x.hub.Begin(c.talk.Sub, x.now())
	b.listenErrand(conversation.HandOver)
	x.act()
	return false
}

// listenErrandEnded goes on after an errand about listening. True: the backend has left its client.
func (b *Backend) listenErrandEnded() bool {
	c, l := b.client, b.lane
	b.move(backendLeased)
	c.move(clientLeased)
	if b.talk.ListenRefused() {
		if !c.talk.Sub.Settled() {
			l.listener.hub.Cancel(c.talk.Sub)
		}
		l.engine.warn("backend stays with a client that listens: the server has refused to hand it over", "pool", l.Name(),
			"backend", b.pid, "error", refusedText(b.talk.Refused()))
	}
	if b.follow() {
		return true
	}
	if b.client != nil {
		l.engine.loop.Later(b.client, b.client.resumeHeld)
	}
	return false
}
