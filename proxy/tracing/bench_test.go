package tracing

import (
	"testing"
	"time"

	"weir/config"
	"weir/proxy/status"
)

// BenchmarkSpan is what a sampled transaction costs the goroutine, encoding aside.
func BenchmarkSpan(b *testing.B) {
	tracer, err := Open(config.Tracing{Enabled: true, Endpoint: "http://127.0.0.1:1"}, discard)
	if err != nil {
		b.Fatal(err)
	}
	tracer.Close() // the goroutine has ended: its work is done here
	x := status.Transaction{
		Database: "shop", User: "app", PoolUser: "app", Peer: "10.0.0.1:5000", Server: "10.0.0.2:5432", Application: "web",
		Epoch: time.Now(), Leased: 1000, Began: 1000, Ended: 2000, Statements: 3, Statement: "SELECT 1",
	}
	b.ReportAllocs()
	for b.Loop() {
		tracer.trace(&x)
		if len(tracer.batch.spans) >= batchMax {
			tracer.batch.take()
		}
	}
}
