package status

import (
	"math/bits"
	"time"
)

// Buckets is the number of a Histogram's buckets; the last has no upper bound.
const Buckets = 22

// Histogram counts durations in buckets whose bounds double, from 32.8 µs to 34 s. Adding costs a few instructions, because
// loops do it for each query.
type Histogram struct {
	Counts [Buckets]uint64
	Sum    time.Duration
}

// Observe adds a duration; negative ones count as zero.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.Counts[min(bits.Len64(uint64(d)>>bucketShift), Buckets-1)]++
	h.Sum += d
}

// bucketShift makes the first bound 2^15 ns.
const bucketShift = 15

// Bound is the upper bound of bucket i, exclusive; the last bucket has none.
func Bound(i int) time.Duration { return time.Duration(1) << (bucketShift + i) }

// Count is the number of durations that were added.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}
