package logline

import (
	"io"
	"sync"
	"time"
)

// queuedBytesMax bounds what waits for a slow reader: thousands of lines, as they come when a server is lost.
const queuedBytesMax = 1 << 20

// line is one that waits to be written.
type line struct {
	text []byte
	lost uint64 // how many were dropped between the line before it and this one
}

// Log is a queue of lines and the goroutine that writes them. It is an io.Writer for a slog.Handler, which writes a line a call.
type Log struct {
	out     io.Writer
	missing func(lost uint64) []byte
	prompt  bool // see Options; fixed before the first line

	mu      sync.Mutex
	more    sync.Cond // there is a line, or the end
	lines   []line
	bytes   int    // of lines
	lost    uint64 // dropped since the last line was queued
	dropped uint64 // in all
	closed  bool
	ended   chan struct{}
}

func newLog(out io.Writer, missing func(uint64) []byte) *Log {
	l := &Log{out: out, missing: missing, ended: make(chan struct{})}
	l.more.L = &l.mu
	go l.run()
	return l
}

// Write queues a line, or drops it. It never blocks and never fails.
func (l *Log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.bytes+len(text) > queuedBytesMax {
		l.lost++
		l.dropped++
		return len(text), nil
	}
	if l.prompt && len(l.lines) == 0 && l.lost == 0 {
		if l.put(text) {
			return len(text), nil
		}
		l.lost++
		l.dropped++
		return len(text), nil
	}
	l.lines = append(l.lines, line{text: append([]byte(nil), text...), lost: l.lost})
	l.bytes += len(text)
	l.lost = 0
	l.more.Signal()
	return len(text), nil
}

// Dropped is how many lines were dropped.
func (l *Log) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Close waits until all lines are written, at most for patience. Lines that come later are dropped.
func (l *Log) Close(patience time.Duration) {
	l.mu.Lock()
	l.closed = true
	l.more.Signal()
	l.mu.Unlock()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-l.ended:
	case <-limit.C: // the reader takes nothing: the goroutine stays in its write until the process ends
	}
}

// run writes lines until Close.
func (l *Log) run() {
	defer close(l.ended)
	var unwritten uint64 // lines that could not be written, and that no other line has told of
	for {
		next, ok := l.next()
		if !ok {
			return
		}
		if lost := unwritten + next.lost; lost > 0 {
			unwritten = lost
			if l.put(l.missing(lost)) {
				unwritten = 0
			}
		}
		if next.text != nil && !l.put(next.text) {
			unwritten++
			l.mu.Lock()
			l.dropped++
			l.mu.Unlock()
		}
	}
}

// next waits for a line. When the queue is empty and lines were dropped since, it returns a line without a text; it returns false
// after Close, when nothing is left.
func (l *Log) next() (line, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.lines) == 0 {
		if l.lost > 0 {
			lost := l.lost
			l.lost = 0
			return line{lost: lost}, true
		}
		if l.closed {
			return line{}, false
		}
		l.lines = nil // what a burst has made large
		l.more.Wait()
	}
	first := l.lines[0]
	l.lines[0] = line{}
	l.lines = l.lines[1:]
	l.bytes -= len(first.text)
	return first, true
}

// put writes a line and reports whether it got through. A line that was written in part is ended, lest it swallow the next.
func (l *Log) put(text []byte) bool {
	n, err := l.out.Write(text)
	if err == nil {
		return true
	}
	if n > 0 {
		_, _ = l.out.Write([]byte{'\n'}) // if this fails, too, the next line shows it
	}
	return false
}
