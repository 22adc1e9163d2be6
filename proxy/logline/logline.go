// Package logline writes weir's log: a line each, bounded in length, by a goroutine of its own.
//
// A program that waits for the reader of its standard error stops with it: a pipe takes 64 KiB and then blocks. So a line is put
// into a queue and the caller goes on, whatever the reader does. Lines that the queue has no room for, and lines that could not be
// written, are counted, and the next line that gets through comes after one that says how many are missing.
//
// Values in a line come from strangers as well: a startup packet has room for names of 10,000 bytes. Each value is cut to a
// length, so a line has one, too.
//
// It may import the standard library only. Everything may be used on any goroutine.
package logline

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"
)

// Options say how lines look.
type Options struct {
	Level slog.Leveler
	JSON  bool // one JSON object a line, rather than key=value

	PgBouncer bool // lines as PgBouncer writes them
	// Prompt has lines written by the caller, who goes on when they are: for an output that has no reader to wait for, such as a file.
	// Then a client that is told of something finds it in the log.
	Prompt bool
}

// New makes a logger whose lines are written to out. The caller closes the Log at the end.
func New(out io.Writer, o Options) (*slog.Logger, *Log) {
	l := newLog(out, func(lost uint64) []byte { return missing(o, lost) })
	l.prompt = o.Prompt
	return slog.New(&handler{Handler: o.handler(l), log: l}), l
}

// handler is slog's, bounded.
func (o Options) handler(out io.Writer) slog.Handler {
	if o.PgBouncer {
		return o.pgbouncerHandler(out)
	}
	options := &slog.HandlerOptions{Level: o.Level, ReplaceAttr: bounded}
	if o.JSON {
		return slog.NewJSONHandler(out, options)
	}
	return slog.NewTextHandler(out, options)
}

// missing is the line that says how many lines are missing before it.
func missing(o Options, lost uint64) []byte {
	var b bytes.Buffer
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines dropped: they could not be written, or not in time", 0)
	r.AddAttrs(slog.Uint64("lines", lost))
	_ = o.handler(&b).Handle(context.Background(), r) // a buffer takes everything
	return b.Bytes()
}

// handler makes the count of lines that were dropped reachable by way of the logger.
type handler struct {
	slog.Handler
	log *Log
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{Handler: h.Handler.WithAttrs(attrs), log: h.log}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{Handler: h.Handler.WithGroup(name), log: h.log}
}

// Dropped is how many lines of this logger were dropped; 0 for loggers that are not of this package.
func Dropped(logger *slog.Logger) uint64 {
	if h, ok := logger.Handler().(*handler); ok {
		return h.log.Dropped()
	}
	return 0
}
