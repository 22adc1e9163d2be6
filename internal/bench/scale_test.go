package bench

import (
	"slices"
	"testing"
)

func TestCoresAreDividedWhereThereAreEnough(t *testing.T) {
	for _, c := range []struct {
		cores, loops int
		want         division
		ok           bool
	}{
		{2, 1, division{}, false},
		{3, 2, division{}, false},
		{4, 2, division{"0-1", "2-3"}, true},
		{8, 1, division{"0-0", "1-7"}, true},
		{64, 8, division{"0-7", "8-63"}, true},
	} {
		if got, ok := divide(c.cores, c.loops); got != c.want || ok != c.ok {
			t.Errorf("%d cores, %d loops: %v %v", c.cores, c.loops, got, ok)
		}
	}
}

func TestEachWeirIsMeasuredWithEachNumberOfLoops(t *testing.T) {
	s := &scaleRun{opts: ScaleOptions{Loops: []int{1, 2}}, Lab: &Lab{
		Programs: withLoops([]Program{{Name: "old", Kind: Weir}, {Name: "new", Kind: Weir}, {Name: "pgbouncer", Kind: PgBouncer}}, []int{1, 2}),
	}}
	figures := [][]float64{{10, 11}, {12, 13}, {8, 8}, {12, 12}, {20, 20}}
	s.add(ScaleRow{Load: "simple", Clients: 8, format: "%.1f µs", rate: "%.0f"}, figures, figures)
	var got []string
	for _, row := range scaleTable(s.rows).Rows {
		got = append(got, row[2]+": "+row[4]+", "+row[5])
	}
	want := []string{
		"old, 1 loop: , 0.53 (0.50-0.55)",
		"old, 2 loops: 1.19 (1.18-1.20), 0.62 (0.60-0.65)",
		"new, 1 loop: , 0.40 (0.40-0.40)",
		"new, 2 loops: 1.50 (1.50-1.50), 0.60 (0.60-0.60)",
		"pgbouncer: , ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
