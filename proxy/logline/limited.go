package logline

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// PerSecond bounds what strangers can make weir write into its log of one kind. The counters have it all.
const PerSecond = 10

// Limited writes lines that strangers cause, so many of each kind in a second. A kind is a fixed text, mostly the line's message: so
// there are few. The next line of a kind says how many were left out before it.
type Limited struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*window
}

// window counts the lines of one kind in the present second.
type window struct {
	second  int64
	n       int
	leftOut uint64 // since the last line that was written
}

// NewLimited writes to log.
func NewLimited(log *slog.Logger) *Limited { return &Limited{log: log, kinds: map[string]*window{}} }

// Warn writes a warning of the kind that its message is.
func (l *Limited) Warn(message string, attributes ...any) {
	l.Log(slog.LevelWarn, message, attributes...)
}

// Log is Warn at any level.
func (l *Limited) Log(level slog.Level, message string, attributes ...any) {
	leftOut, ok := l.allow(message, time.Now())
	if !ok {
		return
	}
	if leftOut > 0 {
		attributes = append(attributes, "lines_left_out", leftOut)
	}
	l.log.Log(context.Background(), level, message, attributes...)
}

// Say writes a line at level INFO of which the text differs within its kind, and nothing of those that were left out: PgBouncer's lines
// have a form of their own.
func (l *Limited) Say(kind, text string, attributes ...any) {
	if _, ok := l.allow(kind, time.Now()); ok {
		l.log.Info(text, attributes...)
	}
}

// allow reports whether one more line of a kind may be written, and then how many were not since the last one that was.
func (l *Limited) allow(kind string, now time.Time) (leftOut uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.kinds[kind]
	if w == nil {
		w = new(window)
		l.kinds[kind] = w
	}
	if s := now.Unix(); s != w.second {
		w.second, w.n = s, 0
	}
	if w.n++; w.n > PerSecond {
		w.leftOut++
		return 0, false
	}
	leftOut, w.leftOut = w.leftOut, 0
	return leftOut, true
}
