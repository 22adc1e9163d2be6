package relay

import (
	"slices"
	"testing"
)

// TestWalkLeavesTheLoopToOthers: a walk sees each client once, and whatever else there is to do has its turn between two of its steps.
func TestWalkLeavesTheLoopToOthers(t *testing.T) {
	for _, n := range []int{0, 1, clientsPerStep, clientsPerStep + 1, 10*clientsPerStep - 1} {
		loop, err := NewLoop()
		if err != nil {
			t.Fatal(err)
		}
		e := NewEngine(&Env{}, 0, loop)
		for range n {
			e.clients.add(new(Client))
		}
		e.clients.items = append(e.clients.items, nil) // one has gone
		seen, most, since, over := map[*Client]int{}, 0, 0, false
		f := func(c *Client) {
			seen[c]++
			since++
			most = max(most, since)
		}
		var other func()
		other = func() {
			since = 0
			if over {
				loop.Stop()
				return
			}
			loop.Post(other)
		}
		loop.Post(func() {
			e.walk(f, func() {
				if over {
					t.Errorf("%d clients: the walk has ended twice", n)
				}
				over = true
			})
			other()
		})
		loop.OnEnd = nil
		loop.Run()
		for _, times := range seen {
			if times != 1 {
				t.Fatalf("%d clients: one was seen %d times", n, times)
			}
		}
		if len(seen) != n || most > clientsPerStep {
			t.Errorf("of %d clients %d were seen, up to %d without a turn of the others", n, len(seen), most)
		}
	}
}

// TestWalkBearsThatClientsLeave: who leaves is not seen after that, and nobody else is missed.
func TestWalkBearsThatClientsLeave(t *testing.T) {
	e := &Engine{}
	for range 10 {
		c := new(Client)
		c.slot = e.clients.add(c)
	}
	var seen []uint32
	next, more := 0, true
	for more {
		next, more = e.step(next, 3, func(c *Client) {
			seen = append(seen, c.slot)
			if c.slot == 4 {
				e.clients.remove(5)
				e.clients.remove(9)
			}
		})
	}
	if want := []uint32{0, 1, 2, 3, 4, 6, 7, 8}; !slices.Equal(seen, want) {
		t.Errorf("seen: %v, want %v", seen, want)
	}
}

// TestVisitsSeeAllLanesAlthoughOneEnds: the others move up in the table.
func TestVisitsSeeAllLanesAlthoughOneEnds(t *testing.T) {
	loop, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	e := NewEngine(&Env{}, 0, loop)
	loop.OnEnd = nil
	go loop.Run()
	defer func() {
		loop.Stop()
		<-loop.Done()
	}()
	for n := range 4 {
		e.lanes = append(e.lanes, &Lane{number: n})
	}
	var seen []int
	e.visitLanes(func(l *Lane) (more bool) {
		seen = append(seen, l.number)
		switch len(seen) {
		case 1: // the first lane ends
			e.lanes[0].ended = true
			e.lanes = slices.Delete(e.lanes, 0, 1)
			return true
		case 2: // and the last one
			e.lanes[2].ended = true
			e.lanes = e.lanes[:2]
			return true
		}
		return false
	})
	if want := []int{0, 1, 1, 2}; !slices.Equal(seen, want) {
		t.Errorf("lanes seen: %v, want %v", seen, want)
	}
}
