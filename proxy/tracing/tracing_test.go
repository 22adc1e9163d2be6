package tracing

import (
	"compress/gzip"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"weir/config"
	"weir/proxy/status"
)

var discard = slog.New(slog.DiscardHandler)

func open(t *testing.T, c config.Tracing) *Tracer {
	t.Helper()
	c.Enabled = true
	tracer, err := Open(c, discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracer.Close)
	return tracer
}

// A Tracer that is off is nil, whatever the environment has for others, and takes all calls.
func TestOffIsNil(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	tracer, err := Open(config.Tracing{SampleRatio: 1}, discard)
	if tracer != nil || err != nil {
		t.Fatalf("got %v, %v", tracer, err)
	}
	tracer.Follow(config.Tracing{})
	tracer.Close()
	if got := tracer.Totals(); got != (status.Tracing{}) {
		t.Error(got)
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if tracer, err := Open(config.Tracing{Enabled: true}, discard); tracer != nil || err != nil {
		t.Fatalf("got %v, %v", tracer, err)
	}
}

// TestEnvironmentIsThatOfOTLP sends a transaction with names that are no UTF-8 to a collector that wants what the environment has.
func TestEnvironmentIsThatOfOTLP(t *testing.T) {
	tries := atomic.Int32{}
	got := make(chan *tracepb.TracesData, 1)
	collector := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable) // it may be asked again
			return
		}
		if q.URL.Path != "/base/v1/traces" || q.Header.Get("Api-Key") != "a b=c" || q.Header.Get("Other") != "1" || q.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("asked %s with %v", q.URL, q.Header)
		}
		body, err := gzip.NewReader(q.Body)
		if err != nil {
			t.Error(err)
			return
		}
		text, _ := io.ReadAll(body)
		data := new(tracepb.TracesData)
		if err := proto.Unmarshal(text, data); err != nil {
			t.Error(err)
		}
		got <- data
	}))
	t.Cleanup(collector.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: collector.Certificate().Raw})
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL+"/base/")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b=c, other=1")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", file)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	t.Setenv("OTEL_SERVICE_NAME", "shop-weir")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	tracer := open(t, config.Tracing{})
	tracer.Ended(status.Transaction{Database: "caf\xe9", Application: strings.Repeat("\xff", 10_000), Peer: "unix", Epoch: time.Now()})
	data := <-got
	about := map[string]string{}
	for _, a := range data.ResourceSpans[0].Resource.Attributes {
		about[a.Key] = a.Value.GetStringValue()
	}
	if about["service.name"] != "shop-weir" || about["deployment.environment.name"] != "test" {
		t.Errorf("it says of itself %v", about)
	}
	values := map[string]string{}
	for _, a := range data.ResourceSpans[0].ScopeSpans[0].Spans[0].Attributes {
		values[a.Key] = a.Value.GetStringValue()
	}
	if values["db.namespace"] != "caf?" || len(values["weir.application"]) > valueMax || values["client.address"] != "unix" {
		t.Errorf("it says of the transaction %v", values)
	}
}

func TestEnvironmentIsRefusedWhereItCannotBeMet(t *testing.T) {
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "10s", "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd", "OTEL_EXPORTER_OTLP_HEADERS": "secret",
		"OTEL_EXPORTER_OTLP_CERTIFICATE": "/does/not/exist", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/does/not/exist", "OTEL_TRACES_SAMPLER": "jaeger_remote", "OTEL_BSP_MAX_QUEUE_SIZE": "0",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			tracer, err := Open(config.Tracing{Enabled: true}, discard)
			if err == nil {
				tracer.Close()
				t.Fatalf("%s=%s is taken", variable, value)
			}
			if !strings.Contains(err.Error(), variable) || strings.Contains(err.Error(), "secret") {
				t.Errorf("told %v", err)
			}
		})
	}
}

func TestSampler(t *testing.T) {
	for _, test := range []struct {
		environment, arg string
		ratio            config.Ratio
		others           bool // without a parent
		parent           [2]bool
	}{
		{"", "", 1, true, [2]bool{false, true}},
		{"", "", 0, false, [2]bool{false, true}},
		{"always_on", "", 0, true, [2]bool{true, true}},
		{"always_off", "", 1, false, [2]bool{false, false}},
		{"parentbased_always_off", "", 1, false, [2]bool{false, true}},
		{"traceidratio", "0", 1, false, [2]bool{false, false}},
		{"parentbased_traceidratio", "1", 0, true, [2]bool{false, true}},
	} {
		t.Setenv("OTEL_TRACES_SAMPLER", test.environment)
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", test.arg)
		tracer := open(t, config.Tracing{SampleRatio: test.ratio})
		if tracer.Samples(false, false) != test.others || tracer.Samples(true, false) != test.parent[0] || tracer.Samples(true, true) != test.parent[1] {
			t.Errorf("%+v: it does not", test)
		}
	}
	t.Setenv("OTEL_TRACES_SAMPLER", "")
	tracer, some := open(t, config.Tracing{SampleRatio: 0.5}), 0
	for range 1000 {
		if tracer.Samples(false, false) {
			some++
		}
	}
	if some == 0 || some == 1000 {
		t.Errorf("half of 1000 are %d", some)
	}
	tracer.Follow(config.Tracing{SampleRatio: 0, Statements: true})
	if tracer.Samples(false, false) || !tracer.Texts() {
		t.Error("a reload changes nothing")
	}
}

func TestLoopPaysForACopyOnly(t *testing.T) {
	tracer := open(t, config.Tracing{Endpoint: "http://127.0.0.1:1", SampleRatio: 0.5})
	if n := testing.AllocsPerRun(100, func() { tracer.Samples(false, false) }); n > 0 {
		t.Errorf("sampling allocates %v times", n)
	}
}
