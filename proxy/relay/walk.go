package relay

import (
	"slices"

	"weir/proxy/status"
)

// clientsPerStep bounds how many clients are looked at before the others on the loop have their turn. A loop may have a hundred thousand, and a
// look at one that has been idle for long costs what it takes to fetch it from memory: for all of them tens of milliseconds.
const clientsPerStep = 256

// lanesPerVisit bounds how many lanes are copied in one visit to the loop, at some microseconds each.
const lanesPerVisit = 64

// walk calls f on the loop with each client that is there all the while, a step in each iteration, and then done. The first step is taken
// before it returns.
func (e *Engine) walk(f func(*Client), done func()) { e.walkFrom(0, f, done) }

func (e *Engine) walkFrom(next int, f func(*Client), done func()) {
	if next, more := e.step(next, clientsPerStep, f); more {
		e.loop.Post(func() { e.walkFrom(next, f, done) })
		return
	}
	done()
}

// step calls f with the clients whose slots are among the n from next on, and reports where the step after it begins, and whether there is one.
func (e *Engine) step(next, n int, f func(*Client)) (end int, more bool) {
	end = min(next+n, len(e.clients.items))
	for _, c := range e.clients.items[min(next, end):end] {
		if c != nil {
			f(c)
		}
	}
	return end, end < len(e.clients.items)
}

// visitClients calls f on the loop with each client, in visits to the loop of so many: clients and backends have their turn between two.
// Any goroutine but the loop's.
func (e *Engine) visitClients(perVisit int, f func(*Client)) {
	for next, more := 0, true; more; {
		more = false
		e.loop.Call(func() { next, more = e.step(next, perVisit, f) })
	}
}

// visitLanes calls f on the loop with each lane that is there, for as long as f has more to do with it: each call is a visit of its own. A lane
// that ends between two of them keeps none of the others from being seen. Any goroutine but the loop's.
func (e *Engine) visitLanes(f func(*Lane) (more bool)) {
	var lanes []*Lane
	e.loop.Call(func() { lanes = slices.Clone(e.lanes) })
	for _, l := range lanes {
		for more := true; more; {
			more = false
			e.loop.Call(func() { more = !l.ended && f(l) })
		}
	}
}

// survey is what only a look at all clients of a lane tells.
type survey struct {
	parked  int         // bytes
	waiter  status.Peer // who has waited longest
	waiting int64       // since when; 0: nobody
}

// survey looks at the clients of all lanes, in visits. Any goroutine but the loop's.
func (e *Engine) survey() map[*Lane]*survey {
	all := map[*Lane]*survey{}
	e.visitClients(clientsPerStep, func(c *Client) {
		s := all[c.lane]
		if s == nil {
			s = new(survey)
			all[c.lane] = s
		}
		s.see(c)
	})
	return all
}

func (s *survey) see(c *Client) {
	s.parked += c.sock.ParkedLen() + len(c.carry)
	if c.state == clientWaiting && (s.waiting == 0 || c.active < s.waiting) {
		s.waiter, s.waiting = c.snapshotPeer(), max(c.active, 1)
	}
}

// tell adds it to what the lane has told of itself since.
func (s *survey) tell(p *status.Pool) {
	p.ParkedBytes += s.parked
	if p.OldestWait > 0 {
		p.Waiter = s.waiter
	}
}
