package compare

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/bookstore/report"
)

const scrapedPage = `# HELP weir_clients Clients.
# TYPE weir_clients gauge
weir_clients{database="a",state="idle"} 3
weir_clients{database="b",state="waiting"} 4
# TYPE weir_waiting_clients gauge
weir_waiting_clients{database="a"} 1
weir_waiting_clients{database="b"} 4
# TYPE weir_oldest_wait_seconds gauge
weir_oldest_wait_seconds{database="a"} 0.5
weir_oldest_wait_seconds{database="b"} 0.25
# TYPE weir_backends gauge
weir_backends{database="a",state="active"} 20
# TYPE weir_pool_size_backends gauge
weir_pool_size_backends{database="a"} 20
weir_pool_size_backends{database="b"} 5
# TYPE weir_wait_seconds histogram
weir_wait_seconds_bucket{database="a",le="0.001"} %d
weir_wait_seconds_bucket{database="a",le="0.002"} %d
weir_wait_seconds_bucket{database="a",le="+Inf"} %d
weir_wait_seconds_sum{database="a"} %g
weir_wait_seconds_count{database="a"} %d
weir_wait_seconds_bucket{database="b",le="0.001"} 7
weir_wait_seconds_bucket{database="b",le="0.002"} 7
weir_wait_seconds_bucket{database="b",le="+Inf"} 7
weir_wait_seconds_sum{database="b"} 0.007
weir_wait_seconds_count{database="b"} 7
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1e+06
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.5
`

func TestMetricsAreReadOverAllPools(t *testing.T) {
	pages := []string{
		fmt.Sprintf(scrapedPage, 10, 10, 10, 0.01, 10),
		fmt.Sprintf(scrapedPage, 60, 108, 110, 0.21, 110),
		"weir_clients 0\n",
		"go_goroutines 7\n",
		"<html>",
	}
	page := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) }))
	defer server.Close()
	get := func(n int) (*scraped, error) {
		page = pages[n]
		return scrape(t.Context(), server.URL)
	}
	before, err := get(0)
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Queue{Clients: 7, Waiting: 5, Oldest: 0.5, Backends: 20}); before.queue != want || before.poolSize != 20 {
		t.Errorf("queue %+v and pool size %d, want %+v and 20", before.queue, before.poolSize, want)
	}
	if before.resident != 1e6 || before.cpu != 1.5 {
		t.Errorf("the process: %d bytes, %v s", before.resident, before.cpu)
	}
	after, err := get(1)
	if err != nil {
		t.Fatal(err)
	}
	w := after.waits.since(before.waits)
	if w.Count != 100 || w.P50 != 1 || w.P99 != 2 || w.Mean < 1.99 || w.Mean > 2.01 {
		t.Errorf("100 waits of 2 ms on average, 50 of them up to 1 ms and 98 up to 2 ms: got %+v", w)
	}
	if w := before.waits.since(after.waits); w.Count != 0 {
		t.Errorf("weir was restarted in between: %+v", w)
	}
	// A pool's first client brings its histogram into being.
	none, err := get(2)
	if err != nil {
		t.Fatal(err)
	}
	if w := before.waits.since(none.waits); w.Count != 17 || w.P99 != 1 {
		t.Errorf("the first 17 waits: %+v", w)
	}
	for n, says := range map[int]string{3: "lack weir_clients", 4: "are not weir's metrics"} {
		if _, err := get(n); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("page %d: %v, want %q", n, err, says)
		}
	}
}
