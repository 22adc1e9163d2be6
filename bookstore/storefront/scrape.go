package storefront

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"weir/bookstore/scrape"
)

// gauges look at the metrics, for all visitors together.
type gauges struct {
	own  prometheus.Gatherer
	weir string

	mu   sync.Mutex
	last *now
}

// Bounds of a look.
const (
	freshFor  = 500 * time.Millisecond // however many look on, metrics are gathered twice a second at most
	scrapeFor = 2 * time.Second
)

// now is what the metrics say at one moment. Counters are as they stand: who looks on makes rates of them.
type now struct {
	Time int64    `json:"time"` // milliseconds since 1970
	Shop shopNow  `json:"shop"`
	Weir *weirNow `json:"weir"` // nil if it is not known where weir is
}

type shopNow struct {
	OK          float64 `json:"ok"`       // requests answered in all, with a status below 500
	Failed      float64 `json:"failed"`   // and above
	InFlight    float64 `json:"inFlight"` // being answered
	Connections float64 `json:"connections"`
	MayOpen     float64 `json:"mayOpen"` // connections that the pools of all processes may open
	Memory      float64 `json:"memory"`  // bytes, of all processes
}

type weirNow struct {
	Error        string  `json:"error,omitempty"` // why there are no figures
	Clients      float64 `json:"clients"`
	Waiting      float64 `json:"waiting"`
	OldestWait   float64 `json:"oldestWait"` // seconds
	Backends     float64 `json:"backends"`
	Active       float64 `json:"active"`
	PoolSize     float64 `json:"poolSize"`
	Transactions float64 `json:"transactions"`
	Waits        float64 `json:"waits"`
	WaitSeconds  float64 `json:"waitSeconds"`
	WaitsFailed  float64 `json:"waitsFailed"`
	Memory       float64 `json:"memory"`
}

// read looks, unless somebody has just done so.
func (g *gauges) read(ctx context.Context) (*now, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last != nil && time.Since(time.UnixMilli(g.last.Time)) < freshFor {
		return g.last, nil
	}
	n := &now{}
	if g.own != nil {
		families, err := g.own.Gather()
		if err != nil {
			return nil, fmt.Errorf("gather the bookstore's metrics: %w", err)
		}
		n.Shop = shopFrom(byName(families))
	}
	if g.weir != "" {
		// Not the visitor's context: others wait for the same look.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scrapeFor)
		defer cancel()
		all, err := scrape.Families(ctx, g.weir)
		if err != nil {
			n.Weir = &weirNow{Error: err.Error()}
		} else {
			n.Weir = weirFrom(all)
		}
	}
	n.Time = time.Now().UnixMilli()
	g.last = n
	return n, nil
}

// families are metrics by name.
type families map[string]*dto.MetricFamily

func byName(list []*dto.MetricFamily) families {
	all := families{}
	for _, f := range list {
		all[f.GetName()] = f
	}
	return all
}

func shopFrom(all families) (n shopNow) {
	for _, m := range all["bookstore_http_requests_total"].GetMetric() {
		if status := label(m, "status"); status != "" && status[0] >= '5' {
			n.Failed += m.GetCounter().GetValue()
		} else {
			n.OK += m.GetCounter().GetValue()
		}
	}
	n.InFlight = all.sum("bookstore_http_requests_in_flight", "", "")
	n.Connections = all.sum("bookstore_pool_connections", "", "")
	n.MayOpen = all.sum("bookstore_pool_max_connections", "", "")
	n.Memory = all.sum("process_resident_memory_bytes", "", "")
	return n
}

func weirFrom(all families) *weirNow {
	n := &weirNow{
		Clients:      all.sum("weir_clients", "", ""),
		Waiting:      all.sum("weir_waiting_clients", "", ""),
		Backends:     all.sum("weir_backends", "", ""),
		Active:       all.sum("weir_backends", "state", "active"),
		PoolSize:     all.sum("weir_pool_size_backends", "", ""),
		Transactions: all.sum("weir_transactions_total", "", ""),
		WaitsFailed:  all.sum("weir_waits_failed_total", "", ""),
		Memory:       all.sum("process_resident_memory_bytes", "", ""),
	}
	for _, m := range all["weir_oldest_wait_seconds"].GetMetric() {
		n.OldestWait = max(n.OldestWait, m.GetGauge().GetValue())
	}
	for _, m := range all["weir_wait_seconds"].GetMetric() {
		n.Waits += float64(m.GetHistogram().GetSampleCount())
		n.WaitSeconds += m.GetHistogram().GetSampleSum()
	}
	return n
}

// sum adds a counter or gauge up over its series, or over those with this value of a label.
func (all families) sum(name, ofLabel, value string) (total float64) {
	for _, m := range all[name].GetMetric() {
		if ofLabel == "" || label(m, ofLabel) == value {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return total
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
