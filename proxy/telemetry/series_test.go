package telemetry

import (
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"weir/proxy/status"
)

// TestSeriesAreLight: a scrape of a thousand pools has ninety thousand series at the same time.
func TestSeriesAreLight(t *testing.T) {
	const budget = 5 // objects for each, of which one is the test's; client_golang's own took seventeen
	var some pools
	for i := range 20 {
		some = append(some, status.Pool{Database: "shop" + strconv.Itoa(i), User: "app", Number: uint64(i)})
	}
	c := NewCollector(some)
	n := 0
	objects := testing.AllocsPerRun(1, func() {
		n = 0
		out := make(chan prometheus.Metric, 1<<12)
		c.Collect(out)
		close(out)
		for m := range out {
			var written dto.Metric
			if err := m.Write(&written); err != nil {
				t.Fatal(err)
			}
			n++
		}
	})
	t.Logf("%d series, %.1f objects each", n, objects/float64(n))
	if n < 20*80 || objects > float64(budget*n) {
		t.Errorf("%d series took %.0f objects, want at most %d each", n, objects, budget)
	}
}
