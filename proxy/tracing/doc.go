// Package tracing tells a collector of OpenTelemetry about transactions, as spans over OTLP.
//
// A loop asks Tracer.Samples first, which allocates nothing, and gives what is sampled to Tracer.Ended, which puts a value into a bounded
// queue or drops it. One goroutine makes spans of these values with OpenTelemetry's SDK, so that a loop pays for a copy only, and
// exports them in batches; while the collector does not answer, the queue fills. Where tracing is off there is no Tracer and no goroutine.
//
// The SDK and the exporter are OpenTelemetry's own, the HTTP below them is net/http: their own transports bring the whole of gRPC along,
// which would make weir's binary half as large again.
//
// It may import config, status and OpenTelemetry's modules.
package tracing
