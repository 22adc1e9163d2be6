package proxy

import (
	"testing"

	"weir/proxy/status"
)

// What the loops have of a pool is one pool, with what lanes have counted that have ended.
func TestLanesAreJoinedByThePoolsNumber(t *testing.T) {
	lane := func(number, backends, leases int) status.Pool {
		p := status.Pool{Database: "shop", Number: uint64(number), Size: 4}
		p.Backends[status.BackendIdle] = backends
		p.Totals.Leases = uint64(leases)
		return p
	}
	all := lanesJoined{at: map[uint64]int{}}
	all.join([]status.Pool{lane(1, 1, 10), lane(2, 2, 20)})
	all.join([]status.Pool{lane(3, 3, 30), lane(1, 4, 40)})
	if rest := all.addPast([]status.Pool{lane(2, 0, 5), lane(9, 0, 90)}); len(rest) != 1 || rest[0].Number != 9 {
		t.Errorf("of pools that are gone there is %v", rest)
	}
	want := []status.Pool{lane(1, 5, 50), lane(2, 2, 25), lane(3, 3, 30)}
	if len(all.pools) != len(want) {
		t.Fatalf("%d pools, want %d", len(all.pools), len(want))
	}
	for i, p := range all.pools {
		if w := want[i]; p.Number != w.Number || p.Backends != w.Backends || p.Totals.Leases != w.Totals.Leases || p.Size != w.Size {
			t.Errorf("pool %d: %d backends, %d leases, size %d", p.Number, p.Backends[status.BackendIdle], p.Totals.Leases, p.Size)
		}
	}
}
