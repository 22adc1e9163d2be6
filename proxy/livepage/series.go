package livepage

import (
	"time"

	"weir/proxy/status"
)

// counts are a histogram's, of a short time.
type counts [status.Buckets]uint32

func (c *counts) add(o *counts) {
	for i, n := range o {
		c[i] += n
	}
}

// grown is what a histogram has more than before.
func grown(now, before *status.Histogram) (c counts) {
	for i := range c {
		c[i] = uint32(now.Counts[i] - before.Counts[i])
	}
	return c
}

func (c *counts) count() (n uint64) {
	for _, in := range c {
		n += uint64(in)
	}
	return n
}

// quantile is below which the share q of the durations is, as near as buckets tell: as if those of a bucket lay evenly in it. Of the last
// bucket it knows only where it begins. False: there are none.
func (c *counts) quantile(q float64) (time.Duration, bool) {
	all := c.count()
	if all == 0 {
		return 0, false
	}
	rank, below := q*float64(all), 0.0
	for i, n := range c {
		if below+float64(n) < rank || n == 0 {
			below += float64(n)
			continue
		}
		lower := time.Duration(0)
		if i > 0 {
			lower = status.Bound(i - 1)
		}
		if i == status.Buckets-1 {
			return lower, true
		}
		return lower + time.Duration(float64(status.Bound(i)-lower)*(rank-below)/float64(n)), true
	}
	return status.Bound(status.Buckets - 2), true
}

// point is what happened in a step of a series.
type point struct {
	slot int64         // the step's number
	took time.Duration // that the differences in it cover

	queries, transactions, errors, waitsFailed uint32
	loginsFailed, shed                         uint32 // of the whole only
	query, wait                                counts
	waiting                                    int32 // the most clients that waited
}

func (p *point) add(o *point) {
	p.took += o.took
	p.queries += o.queries
	p.transactions += o.transactions
	p.errors += o.errors
	p.waitsFailed += o.waitsFailed
	p.loginsFailed += o.loginsFailed
	p.shed += o.shed
	p.query.add(&o.query)
	p.wait.add(&o.wait)
	p.waiting = max(p.waiting, o.waiting)
}

// perSecond is the rate of what p counts n of.
func (p *point) perSecond(n uint32) float64 {
	if p.took <= 0 {
		return 0
	}
	return float64(n) / p.took.Seconds()
}

// series is a ring of points: the one of a step has its place, and that of a step long gone is overwritten.
type series struct {
	step   time.Duration
	points []point
}

func newSeries(step time.Duration) *series {
	return &series{step, make([]point, int(history/step))}
}

func (s *series) slot(at time.Time) int64 { return at.UnixNano() / int64(s.step) }

func (s *series) place(slot int64) *point { return &s.points[uint64(slot)%uint64(len(s.points))] }

func (s *series) add(at time.Time, p *point) {
	slot := s.slot(at)
	to := s.place(slot)
	if to.slot != slot {
		*to = point{slot: slot}
	}
	to.add(p)
}

// at is the point of a step, and an empty one where there is none.
func (s *series) at(slot int64) *point {
	if p := s.place(slot); p.slot == slot {
		return p
	}
	return &point{slot: slot}
}

// last sums up the points of the time until at, whole steps.
func (s *series) last(at time.Time, span time.Duration) *point {
	sum, slot := new(point), s.slot(at)
	for i := range min(int64((span+s.step-1)/s.step), int64(len(s.points))) {
		sum.add(s.at(slot - i))
	}
	return sum
}
