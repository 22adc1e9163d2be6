package eventloop

import (
	"math"
	"time"
)

// Tick is the timers' grain: a timer fires at most one tick late and never early. Nothing that weir times is finer: the
// shortest is a back-off of 100 ms.
const Tick = 10 * time.Millisecond

// Timer calls Func once. Its zero value is idle. It belongs to the loop; the loop never allocates for it.
type Timer struct {
	Func  func() // set once, before the first use
	due   int64  // loop time, the first tick after what was asked for; 0 while idle
	index int    // in timers.heap
}

// timers is a binary heap. The loop has one timer for each pool and a handful of its own, tens of them, so a wheel would
// save nothing.
type timers struct {
	heap []*Timer
}

// latest is what later times are taken for, 292 years after the start.
const latest = math.MaxInt64 - int64(Tick)

// set rounds due up to the next tick. A tick that is now is not good enough: a timer that sets itself again for at once would
// be due for ever in the same iteration.
func (t *timers) set(x *Timer, due int64) {
	due += int64(Tick) - due%int64(Tick)
	if x.due == due {
		return
	}
	if x.due != 0 {
		t.stop(x)
	}
	x.due, x.index = due, len(t.heap)
	t.heap = append(t.heap, x)
	t.up(x.index)
}

func (t *timers) stop(x *Timer) {
	if x.due == 0 {
		return
	}
	last := len(t.heap) - 1
	i := x.index
	t.swap(i, last)
	t.heap[last] = nil
	t.heap = t.heap[:last]
	x.due = 0
	if i < last {
		t.up(i)
		t.down(i)
	}
}

// next returns how long the loop may sleep: negative means for as long as nothing happens.
func (t *timers) next(now int64) time.Duration {
	if len(t.heap) == 0 {
		return -1
	}
	return time.Duration(max(t.heap[0].due-now, 0))
}

// pop returns a timer that is due, or nil.
func (t *timers) pop(now int64) *Timer {
	if len(t.heap) == 0 || t.heap[0].due > now {
		return nil
	}
	x := t.heap[0]
	t.stop(x)
	return x
}

func (t *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].due <= t.heap[i].due {
			return
		}
		t.swap(i, parent)
		i = parent
	}
}

func (t *timers) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(t.heap) {
			return
		}
		if child+1 < len(t.heap) && t.heap[child+1].due < t.heap[child].due {
			child++
		}
		if t.heap[i].due <= t.heap[child].due {
			return
		}
		t.swap(i, child)
		i = child
	}
}

func (t *timers) swap(i, j int) {
	h := t.heap
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
