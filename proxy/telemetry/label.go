package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"weir/proxy/status"
)

// Clients name databases, users and SQLSTATEs. Prometheus takes valid UTF-8 only, and refuses a whole scrape for one series that comes
// twice; each series costs memory here and there. So names become labels here, and nowhere else.
const (
	// labelMax bounds a label's value, in bytes. Names that clients give are cut to 63 before.
	labelMax = 255
	// seriesMax bounds the pools that have series of their own, about 150 each.
	seriesMax = 1000
	// others is the database and the user of the pools beyond.
	others = "(others)"
)

// label makes a label of a name: bytes that are no UTF-8 are written \xff.
func label(name string) string {
	if len(name) > labelMax {
		name = name[:labelMax]
	}
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		if r == utf8.RuneError && !strings.HasPrefix(name[i:], "\ufffd") {
			fmt.Fprintf(&b, `\x%02x`, name[i])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// names are what two pools may have in common once they are labels.
type names struct{ database, user string }

// labelPools returns the pools with labels for names. Those of the same labels are one, and so are those beyond seriesMax, save the
// oldest: a pool's series do not move while it lives. What others of the same names have counted before, among bygone, is added: counters never fall.
func labelPools(pools, bygone []status.Pool) []status.Pool {
	last := ^uint64(0) // the number of the last pool that has series of its own
	if len(pools) > seriesMax {
		numbers := make([]uint64, len(pools))
		for i := range pools {
			numbers[i] = pools[i].Number
		}
		slices.Sort(numbers)
		last = numbers[seriesMax-1]
	}
	found := map[names]int{}
	var all []status.Pool
	for i := range pools {
		p := pools[i]
		p.Database, p.User = label(p.Database), label(p.User)
		if p.Number > last {
			p.Database, p.User, p.Shared = others, others, status.SharedLimits{}
		}
		key := names{p.Database, p.User}
		if at, ok := found[key]; ok {
			all[at].Add(&p)
			continue
		}
		found[key] = len(all)
		all = append(all, p)
	}
	for i := range bygone {
		p := &bygone[i]
		if at, ok := found[names{label(p.Database), label(p.User)}]; ok && p.Number != 0 { // else it is the sum of a database
			all[at].Add(p)
		}
	}
	return all
}

// labelReplications does the same for connections for replication; beyond seriesMax the order of their names decides.
func labelReplications(replications []status.Replication) []status.Replication {
	found := map[names]int{}
	var all []status.Replication
	for i, r := range replications {
		r.Database, r.User = label(r.Database), label(r.User)
		if i >= seriesMax {
			r.Database, r.User = others, others
		}
		key := names{r.Database, r.User}
		if at, ok := found[key]; ok {
			all[at].Add(&r)
			continue
		}
		found[key] = len(all)
		all = append(all, r)
	}
	return all
}

// codesMax bounds the SQLSTATEs of one series: RAISE lets a client make up any.
const codesMax = 100

// otherCode stands for the SQLSTATEs beyond, here and where errors are counted.
const otherCode = "other"

// byCode sums errors up by SQLSTATE: pools that are shown as one have lists of their own.
func byCode(errors []status.ErrorCode) map[string]uint64 {
	sums := map[string]uint64{}
	for _, e := range errors {
		code := e.Code
		if _, known := sums[code]; !known && len(sums) >= codesMax {
			code = otherCode
		}
		sums[code] += e.Count
	}
	return sums
}
