package telemetry

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"weir/proxy/status"
)

// Clients name databases, users and SQLSTATEs. Prometheus takes valid UTF-8 only, and refuses a whole scrape for one series that comes
// twice; each series costs memory here and there. So names become labels here, and nowhere else.
const (
	// labelMax bounds a label's value, in bytes. Names that clients give are cut to 63 before.
	labelMax = 255
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

// labelPools returns the pools of a snapshot with labels for names. Those of the same labels are one, and so are the others. What pools of the
// same names, or others, have counted that are forgotten is added: counters never fall.
func labelPools(s *status.Snapshot) []status.Pool {
	l := labelled{at: map[names]int{}}
	for i := range s.Pools {
		l.add(&s.Pools[i])
	}
	if s.Others.Others {
		l.add(&s.Others)
	}
	for i := range s.Bygone {
		p := &s.Bygone[i]
		if p.Number == 0 { // it is the sum of a database
			continue
		}
		if at, ok := l.at[labels(p)]; ok {
			l.pools[at].Add(p)
		}
	}
	return l.pools
}

// labelled are pools with labels for names, and where each is.
type labelled struct {
	pools []status.Pool
	at    map[names]int
}

func (l *labelled) add(p *status.Pool) {
	key := labels(p)
	if p.Others {
		one := *p
		one.Shared = status.SharedLimits{}
		p = &one
	}
	if at, ok := l.at[key]; ok {
		l.pools[at].Add(p)
		return
	}
	l.at[key] = len(l.pools)
	l.pools = append(l.pools, *p)
	own := &l.pools[len(l.pools)-1]
	own.Database, own.User = key.database, key.user
}

func labels(p *status.Pool) names {
	if p.Others {
		return names{others, others}
	}
	return names{label(p.Database), label(p.User)}
}

// labelReplications does the same for connections for replication.
func labelReplications(replications []status.Replication) []status.Replication {
	found := map[names]int{}
	var all []status.Replication
	for _, r := range replications {
		r.Database, r.User = label(r.Database), label(r.User)
		if r.Others {
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
