package router

// Spread is how pools spread over the loops. A pool begins on one loop, to which its clients are handed whichever loop has accepted them: with few clients that
// costs least, because one poll then finds the answers of several. As more come it gets lanes on the loops that have fewer connections.
type Spread struct {
	// clientsPerLane is how many clients each lane of a pool has before it gets one more.
	clientsPerLane int
	// backendsPerLane is how many backends of the pool's size make one lane worth its price: of fewer, too many would have to go back and forth
	// between the lanes.
	BackendsPerLane int
	// inTurn has each loop in turn count as the one that suits a client, for tests.
	InTurn bool
}

// UsualSpread is what was measured to be best: eight clients are served cheaper by one loop than by two, 64 that work all the time are more than one can serve; and four servers that do
// nothing but answer are about what one loop can keep busy.
var UsualSpread = Spread{clientsPerLane: 16, BackendsPerLane: 4}

// lanes is how many lanes a pool of that size may have on so many loops.
func (s Spread) lanes(size, loops int) int { return max(1, min(size/s.BackendsPerLane, loops)) }

// laneFor chooses the loop on which a client is served that loop suited suits as far as connections in all go; -1 stands for none of them. clients says how
// many clients the pool has on each loop, -1 where it has no lane. The loop chosen may be one without a lane, which gets one then: not more than most.
func (s Spread) laneFor(suited int, clients []int, most int) int {
	least, lanes := -1, 0
	for i, n := range clients {
		if n < 0 {
			continue
		}
		lanes++
		if least < 0 || n < clients[least] {
			least = i
		}
	}
	switch {
	case suited < 0 || suited >= len(clients):
	case clients[suited] < 0:
		if lanes < most && clients[least] >= s.clientsPerLane {
			return suited
		}
	case clients[suited] <= clients[least]+clients[least]/4+1:
		return suited
	}
	return least
}
