package relay

import (
	"slices"
	"unsafe"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// The values that a server reports (manual, "Asynchronous Operations") are lists that backends and clients share: a list is never
// changed, only replaced, so that comparing two of them is mostly comparing two pointers.

func sameList(a, b []session.Setting) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// report takes note of a ParameterStatus.
func (b *Backend) report(name, value string) {
	i := slices.IndexFunc(b.params, func(p session.Setting) bool { return p.Name == name })
	if i < 0 || b.params[i].Value != value {
		b.params = slices.Clone(b.params)
		if i < 0 {
			b.params = append(b.params, session.Setting{Name: name, Value: value})
		} else {
			b.params[i].Value = value
		}
		b.changed = true
		b.mode = scanMode(b.params)
	}
	if b.client != nil && (b.errand == errandNone || b.tells) {
		b.client.told = b.params // the message goes on to it
	}
	if b.state == backendIdle {
		b.compareParams()
	}
}

// shareParams exchanges the backend's list for one with the same values that others have.
func (b *Backend) shareParams() {
	known, ok := b.lane.known[b.set]
	if ok && slices.Equal(known, b.params) {
		b.params, b.changed = known, false
	}
}

// compareParams is for a backend that no client has. What has changed on it has changed in the server's configuration: clients that
// come from now on are told.
func (b *Backend) compareParams() {
	if !b.changed {
		return
	}
	b.shareParams()
	if b.changed {
		b.changed = false
		b.lane.forgetKnown()
		b.lane.learn(b.set, b.params)
	}
}

// tell reports to a client what holds on the backend that it gets, as far as that is not what it was told last.
func (c *Client) tell(params []session.Setting) {
	if !c.greeted || sameList(c.told, params) {
		return
	}
	io := &c.lane.engine.io
	p := io.Borrow(512)
	for _, now := range params {
		if !slices.Contains(c.told, now) {
			p = wire.AppendParameterStatus(p, now.Name, now.Value)
		}
	}
	c.told = params
	if len(p) > 0 {
		c.write(p)
	}
	io.Return(p)
}
