package storefront_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/bookstore/storefront"
)

// figures are those of /live/now that tests look at.
type figures struct {
	Time int64
	Shop struct{ OK, Failed, Connections, MayOpen, Memory float64 }
	Weir *struct {
		Error                                                                  string
		Clients, Waiting, OldestWait, Backends, Active, PoolSize, Transactions float64
		Waits, WaitSeconds, WaitsFailed, Memory                                float64
	}
}

func (v *visitor) figures() (f figures) {
	v.t.Helper()
	v.open("/live/now").sees(200)
	if err := json.Unmarshal([]byte(v.page), &f); err != nil {
		v.t.Fatalf("%v: %s", err, v.page)
	}
	return f
}

func TestLivePageShowsARealWeir(t *testing.T) {
	s := throughWeir(t)
	v := s.visitor(t)
	v.open("/").sees(200)
	v.open("/live").sees(200, "The experiment, live", "Clients", "Backends", "Waiting").misses("--weir-metrics", "cannot be read")
	f := v.figures()
	if f.Weir == nil || f.Weir.Error != "" {
		t.Fatalf("no weir: %s", v.page)
	}
	if f.Weir.Clients < 1 || f.Weir.Backends < 1 || f.Weir.Backends > f.Weir.PoolSize ||
		f.Weir.Transactions < 1 || f.Weir.Waits < 1 || f.Weir.Memory < 1<<20 {
		t.Errorf("weir: %+v", *f.Weir)
	}
	if f.Shop.OK < 1 || f.Shop.Connections < 1 || f.Shop.MayOpen < f.Shop.Connections || f.Shop.Memory < 1<<20 {
		t.Errorf("shop: %+v", f.Shop)
	}
}

const someMetrics = `# TYPE weir_clients gauge
weir_clients{database="a",user="u",state="idle"} 90
weir_clients{database="b",user="u",state="waiting"} 10
# TYPE weir_waiting_clients gauge
weir_waiting_clients{database="b",user="u"} 10
# TYPE weir_oldest_wait_seconds gauge
weir_oldest_wait_seconds{database="a",user="u"} 0
weir_oldest_wait_seconds{database="b",user="u"} 1.5
# TYPE weir_backends gauge
weir_backends{database="a",user="u",state="active"} 3
weir_backends{database="b",user="u",state="idle"} 4
# TYPE weir_pool_size_backends gauge
weir_pool_size_backends{database="a",user="u"} 20
# TYPE weir_transactions_total counter
weir_transactions_total{database="a",user="u"} 1000
# TYPE weir_wait_seconds histogram
weir_wait_seconds_bucket{database="a",user="u",le="+Inf"} 4
weir_wait_seconds_sum{database="a",user="u"} 0.5
weir_wait_seconds_count{database="a",user="u"} 4
# TYPE weir_waits_failed_total counter
weir_waits_failed_total{database="a",user="u"} 2
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1.5e+07
`

func TestLivePageAddsPoolsUp(t *testing.T) {
	weir := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(someMetrics))
	}))
	defer weir.Close()
	s := directly(t, func(o *storefront.Options) { o.WeirMetrics = weir.URL })
	w := s.visitor(t).figures().Weir
	if w.Clients != 100 || w.Waiting != 10 || w.OldestWait != 1.5 || w.Backends != 7 || w.Active != 3 || w.PoolSize != 20 ||
		w.Transactions != 1000 || w.Waits != 4 || w.WaitSeconds != 0.5 || w.WaitsFailed != 2 || w.Memory != 1.5e7 {
		t.Errorf("%+v", *w)
	}
}

func TestManyVisitorsScrapeWeirOnce(t *testing.T) {
	scrapes := 0
	weir := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		scrapes++ // one at a time, or the race detector says so
		_, _ = w.Write([]byte(someMetrics))
	}))
	defer weir.Close()
	v := directly(t, func(o *storefront.Options) { o.WeirMetrics = weir.URL }).visitor(t)
	first := v.figures().Time
	seen := 1
	for v.figures().Time == first {
		seen++ // until the look is stale
	}
	if scrapes != 2 || seen < 2 {
		t.Errorf("%d looks of visitors made %d scrapes, want 2", seen+1, scrapes)
	}
}

func TestLivePageSaysWhyItHasNoFigures(t *testing.T) {
	s := directly(t)
	v := s.visitor(t)
	v.open("/live").sees(200, "--weir-metrics").misses("data-plot=\"sessions\"")
	if f := v.figures(); f.Weir != nil {
		t.Errorf("weir: %+v", f.Weir)
	}
	for answer, says := range map[string]string{"404": "404 Not Found", "nonsense{": "text format", "": ""} {
		weir := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answer == "404" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte(answer))
		}))
		v := directly(t, func(o *storefront.Options) { o.WeirMetrics = weir.URL }).visitor(t)
		f := v.figures()
		if says == "" { // no metrics are no clients
			if f.Weir.Error != "" || f.Weir.Clients != 0 {
				t.Errorf("%+v", f.Weir)
			}
		} else if !strings.Contains(f.Weir.Error, says) {
			t.Errorf("%q: %q does not say %q", answer, f.Weir.Error, says)
		}
		v.open("/live").sees(200)
		weir.Close()
	}
}

// Pages of the storefront count among the shop's requests, by their pattern and not by the book.
func TestPagesAreCounted(t *testing.T) {
	v := directly(t).visitor(t)
	v.open("/").open("/shop/books/1").open("/shop/books/2").open("/shop/books/99").open("/metrics").sees(200,
		`bookstore_http_requests_total{method="GET",route="/",status="200"} 1`,
		`bookstore_http_requests_total{method="GET",route="/shop/books/{id}",status="200"} 2`,
		`bookstore_http_requests_total{method="GET",route="/shop/books/{id}",status="404"} 1`)
}
