package bench

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

func TestMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
		{nil, math.NaN()},
	} {
		given := slices.Clone(c.values)
		if got := median(c.values); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("median(%v) = %v, want %v", given, got, c.want)
		}
		if !slices.Equal(given, c.values) {
			t.Errorf("median reordered %v to %v", given, c.values)
		}
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(i + 1)
	}
	for _, c := range []struct {
		sorted []int64
		p      float64
		want   float64
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0.1, 1},
		{[]int64{10, 20, 30, 40}, 50, 20},
		{[]int64{10, 20, 30, 40}, 51, 30},
		{[]int64{7}, 99, 7},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile %v of %d values = %v, want %v", c.p, len(c.sorted), got, c.want)
		}
	}
	if got := percentile([]float64{}, 50); !math.IsNaN(got) {
		t.Errorf("percentile of nothing = %v, want NaN", got)
	}
}

func TestJainTellsFairFromUnfair(t *testing.T) {
	for _, c := range []struct {
		shares []float64
		want   float64
	}{
		{[]float64{5, 5, 5, 5}, 1},
		{[]float64{8, 0, 0, 0}, 0.25},
		{[]float64{1, 3}, 0.8},
		{[]float64{0, 0}, 1},
	} {
		if got := jain(c.shares); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("jain(%v) = %v, want %v", c.shares, got, c.want)
		}
	}
	if got := jain(nil); !math.IsNaN(got) {
		t.Errorf("jain of nobody = %v, want NaN", got)
	}
}

// One round hit both targets with noise: paired, it says what the quiet rounds say; the medians alone would not.
func TestComparePairsRounds(t *testing.T) {
	got := compare([]float64{8, 80, 9}, []float64{10, 100, 10})
	want := comparison{Ratio: 0.9, Least: 0.8, Most: 0.9}
	if got != want {
		t.Errorf("compare = %+v, want %+v", got, want)
	}
}

func TestEachTargetTakesEachTurn(t *testing.T) {
	const n = 3
	var firsts []int
	for round := range n {
		order := roundOrder(round, n)
		firsts = append(firsts, order[0])
		if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, []int{0, 1, 2}) {
			t.Errorf("round %d measures %v, not everybody once", round, order)
		}
	}
	if sorted := slices.Sorted(slices.Values(firsts)); !slices.Equal(sorted, []int{0, 1, 2}) {
		t.Errorf("the first of the rounds are %v: not everybody in turn", firsts)
	}
}

func TestInterleaveGathersRoundsByTarget(t *testing.T) {
	var order []int
	samples, err := interleave(context.Background(), 2, 3, func(_ context.Context, target, round int) (int, error) {
		order = append(order, target)
		return 10*target + round, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 1, 1, 0, 0, 1}; !slices.Equal(order, want) {
		t.Errorf("turns were %v, want %v", order, want)
	}
	for target, want := range [][]int{{0, 1, 2}, {10, 11, 12}} {
		if !slices.Equal(samples[target], want) {
			t.Errorf("samples of target %d are %v, want %v", target, samples[target], want)
		}
	}
}

func TestInterleaveStopsAtTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	turns := 0
	_, err := interleave(context.Background(), 2, 3, func(context.Context, int, int) (int, error) {
		turns++
		return 0, broken
	})
	if !errors.Is(err, broken) || turns != 1 {
		t.Errorf("err = %v after %d turns, want %v after 1", err, turns, broken)
	}
}

func TestSummaryShowsTheStarvedAndTheFailed(t *testing.T) {
	s := summarize([]clientTurn{
		{waits: []int64{1e6, 3e6, 2e6}},
		{waits: []int64{9e6}},
		{err: errors.New("53300")},
	})
	if s.Transactions != 4 || s.Errors != 1 || s.FirstError != "53300" {
		t.Errorf("summary = %+v, want 4 transactions and the error 53300", s)
	}
	if s.P50 != 2e6 || s.P99 != 9e6 || s.Longest != 9e6 || s.Spread != 4.5 {
		t.Errorf("summary = %+v, want p50 2 ms, p99 and longest 9 ms, spread 4.5", s)
	}
	if s.Fewest != 0 || s.Most != 3 {
		t.Errorf("summary = %+v, want 0 to 3 per client", s)
	}
}
