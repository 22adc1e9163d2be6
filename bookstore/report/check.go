package report

import "fmt"

// What Check demands of the proxied rows.
const (
	memoryGrowthMax = 1.10 // PostgreSQL's memory at the top of the ladder by that at its foot
	throughputMin   = 0.80 // the rate at the top by the best
)

// Check says what the comparison did not reach, a sentence each; none when it reached all: no error through the proxy,
// PostgreSQL's memory flat, throughput that does not fall. What was not measured is not reached.
func (r *Report) Check() []string {
	rows := r.of(Proxied)
	if r.Unfinished != "" {
		return []string{"the comparison did not finish: " + r.Unfinished}
	}
	if len(rows) < 2 {
		return []string{fmt.Sprintf("%d rungs of clients through %s are no ladder; two are the least", len(rows), r.Setup.Proxy)}
	}
	var missed []string
	best := rows[0]
	for _, row := range rows {
		if row.Load.PerSecond > best.Load.PerSecond {
			best = row
		}
		if row.Load.Failed > 0 {
			_, _, kinds := failures([]Row{row})
			missed = append(missed, fmt.Sprintf("with %d clients %s of %s requests through %s failed: %s",
				row.Clients, count(row.Load.Failed), count(row.Load.Requests), r.Setup.Proxy, kinds))
		}
		if row.Load.Succeeded == 0 {
			missed = append(missed, fmt.Sprintf("with %d clients no request through %s succeeded", row.Clients, r.Setup.Proxy))
		}
	}
	foot, top := rows[0], rows[len(rows)-1]
	switch low, high := foot.Postgres(), top.Postgres(); {
	case low == 0 || high == 0:
		missed = append(missed, "PostgreSQL's memory was not measured")
	case float64(high) > memoryGrowthMax*float64(low):
		missed = append(missed, fmt.Sprintf("PostgreSQL's memory was %s with %d clients and %s with %d: %.0f %% more, and %.0f %% is the limit",
			size(low), foot.Clients, size(high), top.Clients, 100*(float64(high)/float64(low)-1), 100*(memoryGrowthMax-1)))
	}
	if top.Load.PerSecond < throughputMin*best.Load.PerSecond {
		miss := fmt.Sprintf("%.0f requests a second with %d clients are %.2f of the best, %.0f with %d; %.2f is the limit",
			top.Load.PerSecond, top.Clients, top.Load.PerSecond/best.Load.PerSecond, best.Load.PerSecond, best.Clients, throughputMin)
		if cores := r.othersOf(&top); cores > 0 {
			miss += fmt.Sprintf(" (other programs kept %.2f of %s busy then)", cores, plural(r.Setup.Cores, "core"))
		}
		missed = append(missed, miss)
	}
	return missed
}
