package proxy_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/jackc/pgproto3/v2"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"weir/proxy/status"
)

// otlpCollector takes spans over HTTP.
type otlpCollector struct {
	*httptest.Server
	hang chan struct{} // not nil: it answers when this is closed

	mu    sync.Mutex
	spans []*tracepb.Span
}

func newCollector(t *testing.T, hang chan struct{}) *otlpCollector {
	t.Helper()
	c := &otlpCollector{hang: hang}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		data := new(tracepb.TracesData)
		if err = errorsOf(err, proto.Unmarshal(body, data)); err != nil || q.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", q.URL, err)
		}
		if c.hang != nil {
			<-c.hang
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range data.ResourceSpans {
			for _, s := range r.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return c
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// of waits for n transactions of a trace. waits are the spans within them.
func (c *otlpCollector) of(t *testing.T, trace string, n int) (transactions, waits []*tracepb.Span) {
	t.Helper()
	eventually(t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		transactions, waits = nil, nil
		for _, s := range c.spans {
			switch {
			case hex.EncodeToString(s.TraceId) != trace:
			case s.Name == "transaction":
				transactions = append(transactions, s)
			default:
				waits = append(waits, s)
			}
		}
		if len(transactions) != n {
			return fmt.Sprintf("%d transactions of trace %s", len(transactions), trace)
		}
		return ""
	})
	return transactions, waits
}

func valuesOf(s *tracepb.Span) map[string]string {
	values := map[string]string{}
	for _, a := range s.Attributes {
		values[a.Key] = fmt.Sprint(a.Value.GetStringValue())
		if a.Value.GetStringValue() == "" {
			values[a.Key] = fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return values
}

func tracing(c *otlpCollector, more string) string {
	return "[pool]\npool_size = 1\n[tracing]\nenabled = true\nendpoint = \"" + c.URL + "\"\n" + more
}

// traceOf is a trace's number in a test, and comment the text's comment that names it.
func traceOf(n int) string { return fmt.Sprintf("%032x", n) }

func comment(trace, flags string) string {
	return " /*action='%2Forders',traceparent='00-" + trace + "-00000000000000aa-" + flags + "'*/"
}

func TestTransactionIsTraced(t *testing.T) {
	d := database(t)
	collector := newCollector(t, nil)
	w := start(t, d, tracing(collector, "sample_ratio = 0\nstatements = true\n"))
	c, other := enter(t, w, d, "application_name", "web"), enter(t, w, d)
	pid := c.Query(pidQuery)

	// The wait stands apart.
	other.Query("BEGIN")
	c.Send(&pgproto3.Query{String: "SELECT 'waits'" + comment(traceOf(1), "01")})
	expectWaiting(t, w, 1)
	other.Query("COMMIT")
	c.Answer()
	spans, waits := collector.of(t, traceOf(1), 1)
	if len(waits) != 1 {
		t.Fatalf("%d waits", len(waits))
	}
	span, wait := spans[0], waits[0]
	if hex.EncodeToString(span.ParentSpanId) != "00000000000000aa" || string(wait.ParentSpanId) != string(span.SpanId) {
		t.Errorf("parents are %x of %x, and %x", span.ParentSpanId, span.SpanId, wait.ParentSpanId)
	}
	if wait.StartTimeUnixNano != span.StartTimeUnixNano || wait.EndTimeUnixNano <= wait.StartTimeUnixNano || span.EndTimeUnixNano <= wait.EndTimeUnixNano {
		t.Errorf("the wait is not the beginning: %v, %v", wait, span)
	}
	user := d.Server.Superuser()
	values := valuesOf(span)
	for key, want := range map[string]string{
		"db.system.name": "postgresql", "db.namespace": d.Name, "server.address": "127.0.0.1", "server.port": fmt.Sprint(d.Server.Port()),
		"client.address": "127.0.0.1", "weir.pool": d.Name + "/" + user, "weir.user": user, "weir.application": "web", "weir.backend.pid": pid,
		"weir.statements": "1", "db.query.text": ("SELECT 'waits'" + comment(traceOf(1), "01"))[:80], "error.type": "",
	} {
		if values[key] != want {
			t.Errorf("%s is %q, want %q", key, values[key], want)
		}
	}

	// The first text that names a span is the transaction's, and what fails in it is seen.
	c.Query("BEGIN")
	c.Send(&pgproto3.Parse{Query: "SELECT 1/$1::int" + comment(traceOf(2), "01")},
		&pgproto3.Bind{Parameters: [][]byte{[]byte("0")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	c.Answer()
	c.Query("ROLLBACK")
	spans, _ = collector.of(t, traceOf(2), 1)
	span = spans[0]
	if values := valuesOf(span); values["error.type"] != "22012" || values["weir.statements"] != "3" || span.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("it fails with %v, %v", values, span.Status)
	}

	// A prepared text is of the span for which it was prepared.
	c.Send(&pgproto3.Parse{Name: "s", Query: "SELECT 1" + comment(traceOf(3), "01")}, &pgproto3.Sync{})
	c.Answer()
	c.Send(&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	c.Answer()
	collector.of(t, traceOf(3), 2)

	// A transaction that is not over when its client leaves.
	c.Query("BEGIN" + comment(traceOf(4), "01"))
	c.Terminate()
	spans, _ = collector.of(t, traceOf(4), 1)
	if end := valuesOf(spans[0])["error.type"]; end != "client_left" {
		t.Errorf("it ends with %s", end)
	}

	// What is not sampled by its client, and what names no span, is not told.
	other.Query("SELECT 1" + comment(traceOf(5), "00"))
	other.Query("SELECT 1")
	other.Query("SELECT 1" + comment(traceOf(6), "01"))
	collector.of(t, traceOf(6), 1)
	collector.of(t, traceOf(5), 0)
	eventually(t, func() string {
		if got := w.Proxy.Snapshot().Tracing; got != (status.Tracing{Sent: 6}) {
			return fmt.Sprintf("counted %+v", got)
		}
		return ""
	})
}

// What is sampled without a span of its client's has a trace of its own, and its end is sent before weir ends.
func TestTransactionIsSampled(t *testing.T) {
	d := database(t)
	collector := newCollector(t, nil)
	w := start(t, d, tracing(collector, "sample_ratio = 1\n"))
	c := enter(t, w, d)
	for range 3 {
		c.Query("SELECT 1")
	}
	w.Stop()
	if n := len(collector.spans); n != 3 {
		t.Fatalf("%d spans", n)
	}
	for _, s := range collector.spans {
		if len(s.ParentSpanId) > 0 || valuesOf(s)["db.query.text"] != "" {
			t.Errorf("its parent is %x, its values are %v", s.ParentSpanId, valuesOf(s))
		}
	}
}

func TestNothingIsTracedUnlessItIsWanted(t *testing.T) {
	d := database(t)
	collector := newCollector(t, nil)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	w := start(t, d, "")
	enter(t, w, d).Query("SELECT 1" + comment(traceOf(1), "01"))
	w.Stop()
	if n := len(collector.spans); n != 0 {
		t.Errorf("%d spans", n)
	}
}

// A collector that takes nothing costs spans, which are counted, and no client anything.
func TestCollectorThatHangsDisturbsNoClient(t *testing.T) {
	d := database(t)
	hang := make(chan struct{})
	collector := newCollector(t, hang)
	w := start(t, d, tracing(collector, "sample_ratio = 1\n"))
	c := enter(t, w, d)
	requests := make([]byte, 0, 1000*len(queryBytes("SELECT 1")))
	for range 1000 {
		requests = append(requests, queryBytes("SELECT 1")...)
	}
	for n := 0; w.Proxy.Snapshot().Tracing.Dropped == 0; n++ {
		if n > 20 {
			t.Fatal("nothing is dropped")
		}
		sent := make(chan error, 1)
		go func() { sent <- c.TrySendBytes(requests) }()
		for range 1000 {
			c.Answer()
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	c.Query("SELECT 1")
	w.Stop()
	close(hang)
	if got := w.Proxy.Snapshot().Tracing; got.Sent != 0 || got.Failed == 0 {
		t.Errorf("counted %+v", got)
	}
}
