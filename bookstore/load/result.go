package load

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Kind names a way to fail: "HTTP 503 53300" (status, and SQLSTATE if the body told one) or one of the constants.
type Kind string

// Failures without an HTTP answer.
const (
	Refused   Kind = "connection refused"
	Reset     Kind = "connection reset"
	CutShort  Kind = "answer cut short"
	Timeout   Kind = "no answer in time"
	NotSent   Kind = "not sent: every client was busy" // of an open loop: it was due, and more clients might have sent it
	NoListing Kind = "the listing was no JSON list of books"
	NoPort    Kind = "no local port free" // the load's own limit, not the target's
	NoFile    Kind = "no file descriptor free"
	Other     Kind = "network error"
)

// SQLState is the PostgreSQL code that the failure's answer told, or "".
func (k Kind) SQLState() string {
	f := strings.Fields(string(k))
	if len(f) == 3 && f[0] == "HTTP" {
		return f[2]
	}
	return ""
}

// Result is what a load measured.
type Result struct {
	Elapsed   time.Duration // from the first request to the last answer
	Window    time.Duration // of sending; a few late answers beyond it do not dilute PerSecond
	InWindow  int64         // successes that came within it
	Succeeded Latencies     // answers with a status of 200 to 299, read to the end
	Failed    Latencies
	Kinds     map[Kind]int64 // of the failures
	Groups    map[string]*Group
	Visits    Latencies // of whole visits without a failure
	Bytes     int64     // of all bodies
	// ListenOverflows is how many connections the machine's listeners dropped for want of room in their accept queue
	// meanwhile, whoever's they were. Each costs its client a second or more, which is the kernel's and not the
	// target's: a larger backlog (net.core.somaxconn) cures it. 0 where the system does not tell.
	ListenOverflows int64
}

// Group is what became of the requests for one path.
type Group struct {
	Succeeded Latencies
	Failed    int64
}

// NewResult is a Result of nothing yet.
func NewResult() *Result {
	return &Result{
		Succeeded: newLatencies(), Failed: newLatencies(), Visits: newLatencies(),
		Kinds: map[Kind]int64{}, Groups: map[string]*Group{},
	}
}

// Record counts one request that ended: in kind, "" for a success, after took, and within the window of sending or
// later. group is what was asked for. Not safe for use by several goroutines at once.
func (r *Result) Record(group string, kind Kind, took time.Duration, inWindow bool) {
	g := r.Groups[group]
	if g == nil {
		g = &Group{Succeeded: newLatencies()}
		r.Groups[group] = g
	}
	if kind == "" {
		r.Succeeded.record(took)
		g.Succeeded.record(took)
		if inWindow {
			r.InWindow++
		}
		return
	}
	r.Failed.record(took)
	r.Kinds[kind]++
	g.Failed++
}

// Requests is how many requests ended, well or not.
func (r *Result) Requests() int64 { return r.Succeeded.Count() + r.Failed.Count() }

// PerSecond is the rate of successes while requests were sent.
func (r *Result) PerSecond() float64 {
	if r.Window <= 0 {
		return 0
	}
	return float64(r.InWindow) / r.Window.Seconds()
}

// KindsByCount lists the kinds of failure, the most frequent first.
func (r *Result) KindsByCount() []Kind {
	return slices.SortedFunc(maps.Keys(r.Kinds), func(a, b Kind) int {
		return cmp.Or(cmp.Compare(r.Kinds[b], r.Kinds[a]), cmp.Compare(a, b))
	})
}

// Bounds of the histograms, in microseconds. Nothing takes longer than the time-out plus a connect, unless it was due
// long before it was sent: then the bound stands for anything longer.
const (
	latencyMin    = 1
	latencyMax    = 3600 * 1_000_000
	latencyDigits = 3
)

// Latencies is a distribution of durations, exact to a thousandth of each.
type Latencies struct{ histogram *hdrhistogram.Histogram }

func newLatencies() Latencies {
	return Latencies{hdrhistogram.New(latencyMin, latencyMax, latencyDigits)}
}

func (l Latencies) record(d time.Duration) {
	_ = l.histogram.RecordValue(min(max(d.Microseconds(), latencyMin), latencyMax)) // in range, so it cannot fail
}

// Count is how many durations were recorded.
func (l Latencies) Count() int64 { return l.histogram.TotalCount() }

// Percentile is the duration that p percent did not exceed; 0 when there are none.
func (l Latencies) Percentile(p float64) time.Duration {
	return time.Duration(l.histogram.ValueAtPercentile(p)) * time.Microsecond
}

// Mean is the average; 0 when there are none.
func (l Latencies) Mean() time.Duration {
	return time.Duration(l.histogram.Mean() * float64(time.Microsecond))
}

// Max is the longest.
func (l Latencies) Max() time.Duration { return time.Duration(l.histogram.Max()) * time.Microsecond }
