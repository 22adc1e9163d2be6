package tracing

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"weir/proxy/status"
)

// trace makes spans of a transaction: its own, and one for the wait if there was one. Names of attributes are those of OpenTelemetry's
// semantic conventions for databases as far as these have them.
func (t *Tracer) trace(x *status.Transaction) {
	now, passed := time.Now(), time.Since(x.Epoch)
	at := func(moment int64) trace.SpanEventOption {
		return trace.WithTimestamp(now.Add(time.Duration(moment) - passed))
	}
	ctx := context.Background()
	if x.TraceID != [16]byte{} {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: x.TraceID, SpanID: x.SpanID, TraceFlags: trace.FlagsSampled, Remote: true,
		}))
	}
	ctx, span := t.tracer.Start(ctx, "transaction", at(x.Asked), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes(x)...))
	if x.Leased > x.Asked {
		_, wait := t.tracer.Start(ctx, "wait for a backend", at(x.Asked))
		wait.End(at(x.Leased))
	}
	if x.SQLState != "" || x.End != status.TransactionEnded {
		span.SetStatus(codes.Error, "")
	}
	span.End(at(x.Ended))
}

// valueMax bounds a value, in bytes. What a client has named may be as long as a startup packet.
const valueMax = 256

// text is an attribute that a client may have made up. What is no UTF-8 would make the whole batch one that cannot be encoded.
func text(key, value string) attribute.KeyValue {
	return attribute.String(key, strings.ToValidUTF8(value[:min(len(value), valueMax)], "?"))
}

func attributes(x *status.Transaction) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 20)
	all = append(all,
		attribute.String("db.system.name", "postgresql"),
		text("db.namespace", x.Database),
		text("weir.user", x.User),
		text("weir.pool", x.Database+"/"+x.PoolUser),
		attribute.Int64("weir.backend.pid", int64(x.Backend)),
		attribute.Int("weir.statements", x.Statements),
		attribute.Float64("weir.wait", time.Duration(x.Leased-x.Asked).Seconds()),
		attribute.Float64("weir.run", time.Duration(x.Ended-x.Began).Seconds()),
		attribute.Float64("weir.idle", x.Idle.Seconds()),
	)
	all = appendAddress(all, "server", x.Server)
	all = appendAddress(all, "client", x.Peer)
	failure := x.SQLState
	if x.End != status.TransactionEnded {
		failure = x.End.String()
	}
	for _, more := range []attribute.KeyValue{
		text("weir.application", x.Application), text("db.query.text", x.Statement), text("db.response.status_code", x.SQLState), text("error.type", failure),
	} {
		if more.Value.AsString() != "" {
			all = append(all, more)
		}
	}
	return all
}

// appendAddress appends where one end is. A unix socket has no port.
func appendAddress(all []attribute.KeyValue, end, address string) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(address)
	n, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil {
		return append(all, text(end+".address", address))
	}
	return append(all, attribute.String(end+".address", host), attribute.Int(end+".port", n))
}
