package compare

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"weir/bookstore/report"
	metrics "weir/bookstore/scrape"
)

// scraped is what weir's metrics said at one moment.
type scraped struct {
	queue report.Queue
	waits histogram
	// The largest pool's; pools that nobody has used yet are not told.
	poolSize int
	// Of weir's process, as the metrics tell them: used where the process itself cannot be seen.
	resident int64
	cpu      float64
}

// histogram is cumulative counts by upper bound, over all pools.
type histogram struct {
	count  uint64
	sum    float64
	bounds []float64
	counts []uint64
}

// scrapeWait is the patience with weir's metrics; a busy weir answers in milliseconds.
const scrapeWait = 5 * time.Second

// scrape reads weir's metrics.
func scrape(ctx context.Context, url string) (*scraped, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeWait)
	defer cancel()
	families, err := metrics.Families(ctx, url)
	if err != nil {
		return nil, err
	}
	if families["weir_clients"] == nil {
		return nil, fmt.Errorf("what %s answers are not weir's metrics: they lack weir_clients", url)
	}
	s := &scraped{
		queue: report.Queue{
			Clients:  int(sum(families["weir_clients"])),
			Waiting:  int(sum(families["weir_waiting_clients"])),
			Backends: int(sum(families["weir_backends"])),
		},
		resident: int64(sum(families["process_resident_memory_bytes"])),
		cpu:      sum(families["process_cpu_seconds_total"]),
	}
	for _, m := range families["weir_oldest_wait_seconds"].GetMetric() {
		s.queue.Oldest = max(s.queue.Oldest, value(m))
	}
	for _, m := range families["weir_pool_size_backends"].GetMetric() {
		s.poolSize = max(s.poolSize, int(value(m)))
	}
	for _, m := range families["weir_wait_seconds"].GetMetric() {
		s.waits.add(m.GetHistogram())
	}
	return s, nil
}

func value(m *dto.Metric) float64 { return m.GetGauge().GetValue() + m.GetCounter().GetValue() }

func sum(family *dto.MetricFamily) (total float64) {
	for _, m := range family.GetMetric() {
		total += value(m)
	}
	return total
}

func (h *histogram) add(from *dto.Histogram) {
	h.count += from.GetSampleCount()
	h.sum += from.GetSampleSum()
	for _, b := range from.GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue // the count says the same
		}
		i, found := slices.BinarySearch(h.bounds, b.GetUpperBound())
		if !found {
			h.bounds, h.counts = slices.Insert(h.bounds, i, b.GetUpperBound()), slices.Insert(h.counts, i, 0)
		}
		h.counts[i] += b.GetCumulativeCount()
	}
}

// since is what came after an earlier look. A bound that the earlier one lacks had counted nothing.
func (h histogram) since(before histogram) report.Wait {
	n := int64(h.count - before.count)
	if n <= 0 {
		return report.Wait{}
	}
	earlier := map[float64]uint64{}
	for i, bound := range before.bounds {
		earlier[bound] = before.counts[i]
	}
	at := func(share float64) float64 {
		for i, bound := range h.bounds {
			if float64(h.counts[i]-earlier[bound]) >= share*float64(n) {
				return 1000 * bound
			}
		}
		return 1000 * h.bounds[len(h.bounds)-1] // longer than the last bound
	}
	w := report.Wait{Count: n, Mean: 1000 * (h.sum - before.sum) / float64(n)}
	if len(h.bounds) > 0 {
		w.P50, w.P99 = at(0.5), at(0.99)
	}
	return w
}
