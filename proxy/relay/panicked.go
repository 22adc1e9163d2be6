package relay

import (
	"fmt"

	"weir/proxy/eventloop"
	"weir/proxy/pgerror"
)

// panicked ends the connection whose code has met a state that it takes for impossible, and its peer's: in doubt one backend is lost, not
// the process. Builds with the tag invariants panic all the same.
func (e *Engine) panicked(h eventloop.Handler, cause any, stack []byte) {
	if invariants {
		panic(fmt.Sprintf("%v\n%s", cause, stack))
	}
	var b *Backend
	var c *Client
	switch h := h.(type) {
	case *Backend:
		b, c = h, h.client
	case *Client:
		c, b = h, h.backend
	case *listening:
		e.env.Log.Error("listener connection ended: a state that should be impossible; please report this", "cause", fmt.Sprint(cause),
			"pool", h.line.home.Name(), "stack", string(stack))
		h.line.home.working, h.doomed = false, false
		h.doom(fmt.Errorf("impossible: %v", cause))
		return
	default: // a listener, or a connection that is no client yet
		panic(fmt.Sprintf("%v\n%s", cause, stack))
	}
	lane := laneOf(b, c)
	lane.totals.Doubts[doubtPanic]++
	attributes := []any{"cause", fmt.Sprint(cause), "pool", lane.Name(), "stack", string(stack)}
	if b != nil {
		attributes = append(attributes, "backend", b.pid, "recent", b.talk.Recent())
	}
	e.env.Log.Error("connection ended: a state that should be impossible; please report this", attributes...)
	lane.working = false // decisions that were being carried out are carried out by the next event
	switch {
	case b != nil:
		b.outlook = outlookGood // what was to end it may be what has panicked
		b.condemn(outlookConfused, fmt.Errorf("impossible: %v", cause))
		if c != nil && c.backend != b {
			c.closeNow()
		}
	case !c.ending.decided():
		c.failWith(pgerror.InDoubt)
	}
	lane.engine.loop.Post(lane.tick)
}

func laneOf(b *Backend, c *Client) *Lane {
	if b != nil {
		return b.lane
	}
	return c.lane
}
