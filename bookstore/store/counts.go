package store

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what only the store sees.
type counts struct {
	retries atomic.Int64
}

// The metrics of the two pools, told apart by the label pool, which is sync or async.
var (
	poolMax = prometheus.NewDesc("bookstore_pool_max_connections",
		"Connections that the pool may open.", []string{"pool"}, nil)
	poolConnections = prometheus.NewDesc("bookstore_pool_connections",
		"Connections that the pool has, by state: in_use or idle.", []string{"pool", "state"}, nil)
	poolWaits = prometheus.NewDesc("bookstore_pool_waits_total",
		"Times that a request waited for a connection of the pool.", []string{"pool"}, nil)
	poolWaitSeconds = prometheus.NewDesc("bookstore_pool_wait_seconds_total",
		"Time that requests waited for a connection of the pool.", []string{"pool"}, nil)
	retriesTotal = prometheus.NewDesc("bookstore_transaction_retries_total",
		"Transactions begun again because of a serialisation failure or a deadlock.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *Store) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolMax, poolConnections, poolWaits, poolWaitSeconds, retriesTotal} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Store) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	sync, async := s.sync.Stats(), s.async.Stat()
	gauge(poolMax, float64(sync.MaxOpenConnections), "sync")
	gauge(poolMax, float64(async.MaxConns()), "async")
	gauge(poolConnections, float64(sync.InUse), "sync", "in_use")
	gauge(poolConnections, float64(sync.Idle), "sync", "idle")
	gauge(poolConnections, float64(async.AcquiredConns()), "async", "in_use")
	gauge(poolConnections, float64(async.IdleConns()), "async", "idle")
	counter(poolWaits, float64(sync.WaitCount), "sync")
	counter(poolWaits, float64(async.EmptyAcquireCount()), "async")
	counter(poolWaitSeconds, sync.WaitDuration.Seconds(), "sync")
	counter(poolWaitSeconds, async.EmptyAcquireWaitTime().Seconds(), "async")
	counter(retriesTotal, float64(s.counts.retries.Load()))
}
