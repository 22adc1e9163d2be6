package router

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLaneForChoosesTheLoopThatServesAClient(t *testing.T) {
	for _, c := range []struct {
		accepted int
		clients  []int
		most     int
		want     int
	}{
		{0, []int{0}, 1, 0},
		{-1, []int{-1, 3}, 2, 1},
		{1, []int{0, -1}, 2, 0},  // few clients stay together
		{1, []int{15, -1}, 2, 0}, // still
		{1, []int{16, -1}, 2, 1}, // another lane
		{0, []int{16, -1}, 2, 0}, // served where it was accepted
		{1, []int{99, -1}, 1, 0}, // the pool is too small for two
		{0, []int{30, 16}, 2, 1}, // not where it is crowded
		{0, []int{20, 16}, 2, 0}, // but where it is nearly the same
		{2, []int{16, 15, -1}, 3, 1},
		{2, []int{16, 16, -1}, 3, 2},
		{2, []int{16, 16, -1}, 2, 0},
	} {
		if got := UsualSpread.laneFor(c.accepted, c.clients, c.most); got != c.want {
			t.Errorf("laneFor(%d, %v, %d) = %d, want %d", c.accepted, c.clients, c.most, got, c.want)
		}
	}
	if got := []int{UsualSpread.lanes(1, 8), UsualSpread.lanes(7, 8), UsualSpread.lanes(20, 8), UsualSpread.lanes(100, 8), UsualSpread.lanes(100, 1)}; !slices.Equal(got, []int{1, 1, 5, 8, 1}) {
		t.Errorf("lanes of pools of 1, 7, 20 and 100 on 8 loops, and of 100 on one: %v", got)
	}
}

// TestPoolsSpreadEvenly: whichever loops accept, and whoever leaves, no lane has many more clients than another.
func TestPoolsSpreadEvenly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		loops := 1 + r.IntN(8)
		clients := slices.Repeat([]int{-1}, loops)
		clients[r.IntN(loops)] = 0
		favourite, all := r.IntN(loops), 500+r.IntN(1000)
		for range all {
			accepted := r.IntN(loops)
			if r.IntN(2) == 0 {
				accepted = favourite
			}
			at := UsualSpread.laneFor(accepted, clients, loops)
			clients[at] = max(clients[at], 0) + 1
		}
		lanes := slices.DeleteFunc(clients, func(n int) bool { return n < 0 })
		if least, most := slices.Min(lanes), slices.Max(lanes); most > least+least/2+2 {
			t.Errorf("%d clients on %d loops: %v", all, loops, lanes)
		}
	}
}
