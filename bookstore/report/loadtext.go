package report

import (
	"fmt"
	"io"

	"weir/bookstore/load"
)

// WriteLoad prints what a load measured, as loadtest and wrk do. head says what the load was.
func WriteLoad(w io.Writer, head string, s load.Summary) error {
	p := &printer{w: w}
	p.text("%s\n\n", head)
	cells := [][]string{
		{"", "count", "share", "per second", "mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"},
		loadRow("succeeded", s.Latency, s, rate(s.PerSecond)),
		loadRow("failed", s.FailureLatency, s, ""),
	}
	for _, path := range s.Paths {
		cells = append(cells, loadRow(path.Path, path.Latency, s, ""))
	}
	if s.Visits != nil {
		cells = append(cells, loadRow("whole visits", *s.Visits, s, fmt.Sprintf("%.1f", float64(s.Visits.Count)/max(s.Seconds, 0.001))))
		cells[len(cells)-1][2] = ""
	}
	p.table(cells)
	if s.Failed > 0 {
		p.text("\nFailures by kind:\n")
		var kinds [][]string
		for _, e := range s.Errors {
			kinds = append(kinds, []string{count(e.Count), kindText(e.Kind)})
		}
		for _, k := range kinds {
			p.text("  %8s  %s\n", k[0], k[1])
		}
	}
	p.text("\n%s requests in %.2f s, %s bytes of answers. Latencies: of successes, failures apart.\n", count(s.Requests), s.Seconds, count(s.Bytes))
	if s.ListenOverflows > 0 {
		p.text("%s\n", wrap(fmt.Sprintf("%s times a TCP connection met a full accept queue on this machine, and the kernel tried again after a "+
			"second or more (net.core.somaxconn).", count(s.ListenOverflows)), lineMax))
	}
	return p.err
}

func loadRow(name string, d load.Distribution, s load.Summary, perSecond string) []string {
	return []string{
		name, count(d.Count), percent(d.Count, s.Requests), perSecond,
		latency(d.Mean), latency(d.P50), latency(d.P75), latency(d.P90), latency(d.P95), latency(d.P99), latency(d.P999), latency(d.Max),
	}
}
