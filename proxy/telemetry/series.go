package telemetry

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"weir/proxy/status"
)

// A thousand pools have ninety thousand series, which a scrape has in memory all at once. client_golang's constant metrics weigh 500 bytes each, most of
// it labels that others have, too; those here share them.

// family is a metric as the collector sends it.
type family struct {
	kind  kind
	desc  *prometheus.Desc
	order []int // of the labels, by their names
}

func (m *metric) family() *family {
	f := &family{kind: m.kind, desc: m.desc(), order: make([]int, len(m.labels))}
	for i := range f.order {
		f.order[i] = i
	}
	slices.SortFunc(f.order, func(a, b int) int { return cmp.Compare(m.labels[a], m.labels[b]) })
	return f
}

// pairs are the labels of one scrape, each once.
type pairs map[pair]*dto.LabelPair

type pair struct{ name, value string }

func (p pairs) of(name, value string) *dto.LabelPair {
	l := p[pair{name, value}]
	if l == nil {
		own := &pair{name, value}
		l = &dto.LabelPair{Name: &own.name, Value: &own.value}
		p[*own] = l
	}
	return l
}

// labels are those of one series, sorted by their names.
func (p pairs) labels(m *metric, f *family, values []string) []*dto.LabelPair {
	if len(values) != len(m.labels) {
		panic("telemetry: " + m.name + " has other labels")
	}
	labels := make([]*dto.LabelPair, len(values))
	for i, at := range f.order {
		labels[i] = p.of(m.labels[at], values[at])
	}
	return labels
}

// series is one value of a family. It implements prometheus.Metric.
type series struct {
	family *family
	labels []*dto.LabelPair
	value  float64
}

func (s *series) Desc() *prometheus.Desc { return s.family.desc }

func (s *series) Write(out *dto.Metric) error {
	out.Label = s.labels
	if s.family.kind == counter {
		out.Counter = &dto.Counter{Value: &s.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

// distribution is one histogram of a family. It implements prometheus.Metric.
type distribution struct {
	family *family
	labels []*dto.LabelPair
	of     *status.Histogram
}

func (d *distribution) Desc() *prometheus.Desc { return d.family.desc }

// bounds are those of all histograms but the last, which is infinite and goes without saying.
var bounds = func() (all [status.Buckets - 1]float64) {
	for i := range all {
		all[i] = status.Bound(i).Seconds()
	}
	return all
}()

func (d *distribution) Write(out *dto.Metric) error {
	const n = len(bounds)
	counts, buckets, list := new([n + 1]uint64), new([n]dto.Bucket), make([]*dto.Bucket, n)
	var sum uint64
	for i := range buckets {
		sum += d.of.Counts[i]
		counts[i] = sum
		buckets[i].CumulativeCount, buckets[i].UpperBound = &counts[i], &bounds[i]
		list[i] = &buckets[i]
	}
	counts[n] = d.of.Count()
	seconds := d.of.Sum.Seconds()
	out.Label = d.labels
	out.Histogram = &dto.Histogram{SampleCount: &counts[n], SampleSum: &seconds, Bucket: list}
	return nil
}
