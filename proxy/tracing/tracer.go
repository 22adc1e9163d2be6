package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"weir/config"
	"weir/proxy/status"
)

const (
	// The defaults of OTEL_BSP_MAX_QUEUE_SIZE and OTEL_BSP_MAX_EXPORT_BATCH_SIZE, here in transactions.
	queueLen = 2048
	batchMax = 512
	// batchEvery is that of OTEL_BSP_SCHEDULE_DELAY: how long the first of a batch waits for others. OpenTelemetry's 5 s is long for a
	// person who tries it.
	batchEvery = time.Second
	// closeTimeout is how long weir's end may wait for the collector.
	closeTimeout = time.Second
	// warnEvery bounds how often the log says that the collector does not take spans.
	warnEvery = time.Minute
)

// Tracer is what traces transactions. Its methods may be called on any goroutine; those for loops do not block. A nil Tracer does nothing.
type Tracer struct {
	rules  atomic.Pointer[rules]
	forced *sampler // by the environment; nil: none

	queue                 chan status.Transaction
	sent, dropped, failed atomic.Uint64

	ctx     context.Context // ends the export under way
	cancel  context.CancelFunc
	closing chan struct{}
	done    chan struct{}
	close   sync.Once

	// Of the goroutine.
	every    time.Duration
	most     int // transactions of a batch
	exporter *otlptrace.Exporter
	tracer   trace.Tracer
	batch    batch
	pending  uint64 // transactions in batch
	log      *slog.Logger
	warned   time.Time
	lost     uint64 // since then
}

// rules are what a reload may change.
type rules struct {
	sampler
	texts bool
}

// sampler says which transactions are traced: of those whose text names a span that is so, and of the others.
type sampler struct {
	follows bool // the span that a text names decides; otherwise it is a transaction as any other
	ratio   float64
}

// Open begins to trace. Off, it returns nil. The configuration has been checked.
func Open(c config.Tracing, log *slog.Logger) (*Tracer, error) {
	if !c.Enabled || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	forced, err := environmentSampler()
	if err != nil {
		return nil, err
	}
	client, err := newClient(c.Endpoint)
	if err != nil {
		return nil, err
	}
	room, err := number("OTEL_BSP_MAX_QUEUE_SIZE", queueLen, 1<<20)
	most, mostErr := number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batchMax, 1<<16)
	every, everyErr := number("OTEL_BSP_SCHEDULE_DELAY", int(batchEvery/time.Millisecond), 1<<20)
	if err := errors.Join(err, mostErr, everyErr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tracer{
		forced: forced, queue: make(chan status.Transaction, room), ctx: ctx, cancel: cancel,
		closing: make(chan struct{}), done: make(chan struct{}), exporter: otlptrace.NewUnstarted(client), log: log,
		every: time.Duration(every) * time.Millisecond, most: most,
	}
	t.Follow(c)
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "weir")), resource.WithHost(),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		log.Warn("what traces say of this weir is incomplete", "error", err)
	}
	t.tracer = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSampler(sdk.AlwaysSample()), sdk.WithSpanProcessor(&t.batch)).Tracer("weir")
	go t.run()
	log.Info("transactions are traced", "collector", client.url)
	return t, nil
}

// Follow takes over what a reload may have changed.
func (t *Tracer) Follow(c config.Tracing) {
	if t == nil {
		return
	}
	r := &rules{sampler{follows: true, ratio: float64(c.SampleRatio)}, c.Statements}
	if t.forced != nil {
		r.sampler = *t.forced
	}
	t.rules.Store(r)
}

// Samples reports whether a transaction is to be given to Ended. known: its text names a span, which is sampled or not. For loops.
func (t *Tracer) Samples(known, sampled bool) bool {
	s := t.rules.Load()
	if known && s.follows {
		return sampled
	}
	return s.ratio > 0 && (s.ratio >= 1 || rand.Float64() < s.ratio) //nolint:gosec // G404: this is a sample
}

// Texts reports whether transactions are given with their texts. For loops.
func (t *Tracer) Texts() bool { return t.rules.Load().texts }

// Ended takes a transaction that is over. For loops.
func (t *Tracer) Ended(x status.Transaction) {
	select {
	case t.queue <- x:
	default:
		t.dropped.Add(1)
	}
}

// Totals are counted since the start.
func (t *Tracer) Totals() status.Tracing {
	if t == nil {
		return status.Tracing{}
	}
	return status.Tracing{Sent: t.sent.Load(), Dropped: t.dropped.Load(), Failed: t.failed.Load()}
}

// Close sends what there is, for closeTimeout at most, and ends.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	t.close.Do(func() { close(t.closing) })
	late := time.AfterFunc(closeTimeout, t.cancel)
	<-t.done
	late.Stop()
	t.cancel()
}

func (t *Tracer) run() {
	defer close(t.done)
	defer func() { _ = t.exporter.Shutdown(context.Background()) }()
	_ = t.exporter.Start(t.ctx)
	var due <-chan time.Time
	for {
		select {
		case x := <-t.queue:
			if t.pending == 0 {
				due = time.After(t.every)
			}
			t.take(&x)
		case <-due:
			due = nil
			t.export()
		case <-t.closing:
			for len(t.queue) > 0 {
				x := <-t.queue
				t.take(&x)
			}
			t.export()
			return
		}
	}
}

func (t *Tracer) take(x *status.Transaction) {
	t.trace(x)
	if t.pending++; t.pending >= uint64(t.most) {
		t.export()
	}
}

// export sends the batch. It returns after the exporter's time-out at the latest.
func (t *Tracer) export() {
	if t.pending == 0 {
		return
	}
	n := t.pending
	spans := t.batch.take()
	t.pending = 0
	if err := t.exporter.ExportSpans(t.ctx, spans); err != nil {
		t.failed.Add(n)
		t.lost += n
		t.warn(err)
		return
	}
	t.sent.Add(n)
}

func (t *Tracer) warn(err error) {
	if now := time.Now(); t.warned.IsZero() || now.Sub(t.warned) >= warnEvery {
		t.log.Warn("traces not delivered", "error", err, "transactions", t.lost)
		t.warned, t.lost = now, 0
	}
}

// batch collects the spans that the SDK has finished. It belongs to the Tracer's goroutine.
type batch struct{ spans []sdk.ReadOnlySpan }

// OnStart implements sdk.SpanProcessor.
func (*batch) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor.
func (b *batch) OnEnd(s sdk.ReadOnlySpan) { b.spans = append(b.spans, s) }

// Shutdown implements sdk.SpanProcessor.
func (*batch) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdk.SpanProcessor.
func (*batch) ForceFlush(context.Context) error { return nil }

func (b *batch) take() []sdk.ReadOnlySpan {
	spans := b.spans
	b.spans = nil
	return spans
}

// number is a positive one of the environment.
func number(name string, standard, most int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 || n > most {
		return 0, fmt.Errorf("%s must be a whole number from 1 to %d (got %q)", name, most, text)
	}
	return n, nil
}

// environmentSampler is what OTEL_TRACES_SAMPLER says; nil if it says nothing.
func environmentSampler() (*sampler, error) {
	name := os.Getenv("OTEL_TRACES_SAMPLER")
	if name == "" {
		return nil, nil
	}
	var s sampler
	root, follows := strings.CutPrefix(name, "parentbased_")
	s.follows = follows
	switch root {
	case "always_on":
		s.ratio = 1
	case "always_off":
	case "traceidratio":
		s.ratio = 1
		if arg := os.Getenv("OTEL_TRACES_SAMPLER_ARG"); arg != "" {
			if _, err := fmt.Sscan(arg, &s.ratio); err != nil || !(s.ratio >= 0 && s.ratio <= 1) {
				return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG must be from 0 to 1 (got %q)", arg)
			}
		}
	default:
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER %q is not supported: want always_on, always_off or traceidratio, or one of these after parentbased_", name)
	}
	return &s, nil
}
