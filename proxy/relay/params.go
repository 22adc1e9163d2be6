package relay

import (
	"slices"

	"weir/proxy/session"
)

// The values that a server reports (manual, "Asynchronous Operations") are lists that backends and clients share: a list is never
// changed, only replaced, so that comparing two of them is mostly comparing two pointers.

// shareParams exchanges the backend's list for one with the same values that others have.
func (b *Backend) shareParams() {
	known, ok := b.lane.config.Lanes.known.of(b.talk.Set())
	if ok && slices.Equal(known, b.talk.Params()) {
		b.talk.Adopt(known)
	}
}

// compareParams is for a backend that no client has. What has changed on it has changed in the server's configuration: clients that
// come from now on are told.
func (b *Backend) compareParams() {
	if !b.talk.Changed() {
		return
	}
	known, ok := b.lane.config.Lanes.known.of(b.talk.Set())
	switch {
	case ok && slices.Equal(known, b.talk.Params()):
		b.talk.Adopt(known)
		return
	case ok:
		b.lane.forgetKnown()
		b.lane.doubtDefaults()
	}
	b.lane.learn(b.talk.Set(), b.talk.Params())
}

// tell reports to a client what holds on the backend that it gets, as far as that is not what it was told last.
func (c *Client) tell(params []session.Setting) {
	if !c.greeted || c.talk.Knows(params) {
		return
	}
	io := &c.lane.engine.io
	p := c.talk.AppendNews(io.Borrow(512), params)
	c.say(p)
	io.Return(p)
}
