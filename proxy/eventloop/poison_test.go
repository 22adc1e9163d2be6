//go:build invariants

package eventloop

import "testing"

// TestBufferIsPoisonedBehindEachHandler: whoever kept a part of the buffer finds rubbish there.
func TestBufferIsPoisonedBehindEachHandler(t *testing.T) {
	l, a, b := newLoop(t), newPair(t), newPair(t)
	var kept []byte
	keep := func() {
		for _, c := range kept {
			if c != 0xDB {
				t.Errorf("the buffer still holds %#x", c)
				break
			}
		}
		kept = l.Buffer()[100:110]
		copy(kept, "secret row")
	}
	timer := Timer{Func: keep}
	token := register(t, l, a.ours, First, func(Event) { keep() })
	register(t, l, b.ours, Second, func(Event) { keep() })
	a.say(t, "x")
	b.say(t, "x")
	l.Again(token)
	l.Set(&timer, 0)
	pass(l, Tick)
	l.Post(keep)
	l.Post(keep)
	l.iterate()
	keep()
}
