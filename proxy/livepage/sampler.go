package livepage

import (
	"sync"
	"time"

	"weir/proxy/status"
)

const (
	// Every is how often a Sampler is to be fed.
	Every = time.Second
	// history is how far back it goes.
	history = 5 * time.Minute
	// poolStep is the grain of a pool's own history, 7 KB; that of the whole has a second, 70 KB.
	poolStep = 10 * time.Second
	// poolsMax is how many pools have one, about 1.4 MB; the others show what they have now.
	poolsMax = 200
)

// Sampler keeps the latest snapshot, and what has changed from one to the next for the last minutes.
type Sampler struct {
	mu     sync.Mutex
	latest status.Snapshot
	fed    bool
	whole  *series
	pools  map[uint64]*series // by the pool's number
}

// NewSampler has nothing to show yet.
func NewSampler() *Sampler {
	return &Sampler{whole: newSeries(Every), pools: map[uint64]*series{}}
}

// Add takes the next snapshot, which is the Sampler's from then on.
func (s *Sampler) Add(now status.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := now.At.Sub(s.latest.At)
	if s.fed && took > 0 { // the clock may have been set back
		s.compare(&now, took)
	}
	s.latest, s.fed = now, true
}

func (s *Sampler) compare(now *status.Snapshot, took time.Duration) {
	before := make(map[uint64]*status.Pool, len(s.latest.Pools))
	for i := range s.latest.Pools {
		before[s.latest.Pools[i].Number] = &s.latest.Pools[i]
	}
	whole, waiting := point{took: took}, int32(0)
	for i := range now.Pools {
		p := &now.Pools[i]
		was := before[p.Number]
		if was == nil {
			was = new(status.Pool) // it was opened since
		}
		change := difference(p, was)
		waiting += change.waiting
		whole.add(&change)
		change.took = took
		if own := s.own(p.Number); own != nil {
			own.add(now.At, &change)
		}
	}
	whole.waiting = waiting // of all pools together, where add takes the most
	whole.loginsFailed = uint32(now.Logins.Refused() - s.latest.Logins.Refused())
	whole.shed = uint32(now.Logins.Shed - s.latest.Logins.Shed)
	s.whole.add(now.At, &whole)
	s.forget(now)
}

func failures(p *status.Pool) (n uint64) {
	for _, codes := range [][]status.ErrorCode{p.Errors, p.Own} {
		for _, e := range codes {
			n += e.Count
		}
	}
	return n
}

func difference(now, was *status.Pool) point {
	return point{
		queries: uint32(now.Totals.Queries - was.Totals.Queries), transactions: uint32(now.Totals.Transactions - was.Totals.Transactions),
		errors: uint32(failures(now) - failures(was)), waitsFailed: uint32(now.Totals.WaitsFailed - was.Totals.WaitsFailed),
		query: grown(&now.Query, &was.Query), wait: grown(&now.Wait, &was.Wait), waiting: int32(now.Clients[status.ClientWaiting]),
	}
}

// own is the series of a pool; nil if there are too many.
func (s *Sampler) own(number uint64) *series {
	if s.pools[number] == nil && len(s.pools) < poolsMax {
		s.pools[number] = newSeries(poolStep)
	}
	return s.pools[number]
}

// forget lets go of the series of pools that are no more.
func (s *Sampler) forget(now *status.Snapshot) {
	there := make(map[uint64]bool, len(now.Pools))
	for i := range now.Pools {
		there[now.Pools[i].Number] = true
	}
	for number := range s.pools {
		if !there[number] {
			delete(s.pools, number)
		}
	}
}
