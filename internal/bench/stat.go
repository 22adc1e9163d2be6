package bench

import (
	"math"
	"slices"
)

// median of the values; the mean of the two in the middle when their number is even; NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// percentile is the nearest-rank percentile (0 < p <= 100) of values in ascending order: the smallest value that at
// least p percent of all do not exceed. NaN of none.
func percentile[T ~int64 | ~float64](sorted []T, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return float64(sorted[min(max(rank, 1), len(sorted))-1])
}

// jain is Jain's fairness index, (Σx)² / (n Σx²): 1 when all got the same, 1/n when one got everything. NaN of none;
// 1 when none got anything, for then none was preferred.
func jain(shares []float64) float64 {
	if len(shares) == 0 {
		return math.NaN()
	}
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// comparison is one figure of a target against the baseline's.
type comparison struct {
	Ratio float64 `json:"ratio"` // of the medians
	Least float64 `json:"least"` // of the ratios of single rounds
	Most  float64 `json:"most"`
}

// compare pairs round with round: the spread of the paired ratios tells how far the ratio of medians can be trusted.
func compare(values, baseline []float64) comparison {
	c := comparison{Ratio: median(values) / median(baseline), Least: math.Inf(1), Most: math.Inf(-1)}
	for i := range min(len(values), len(baseline)) {
		r := values[i] / baseline[i]
		c.Least, c.Most = min(c.Least, r), max(c.Most, r)
	}
	return c
}
