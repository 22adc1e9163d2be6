package proxy

import (
	"sync"
	"time"
)

// linesPerSecond bounds what strangers can make weir write into its log of one kind. The counters have it all.
const linesPerSecond = 10

// limiter bounds lines of the log by their kind, which is their message: those are fixed texts, and so are few.
type limiter struct {
	mu    sync.Mutex
	kinds map[string]*window
}

// window counts the lines of one kind in the present second.
type window struct {
	second  int64
	n       int
	leftOut uint64 // since the last line that was written
}

// allow reports whether one more line of a kind may be written, and then how many were not since the last one that was.
func (l *limiter) allow(kind string, now time.Time) (leftOut uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.kinds[kind]
	if w == nil {
		if l.kinds == nil {
			l.kinds = map[string]*window{}
		}
		w = new(window)
		l.kinds[kind] = w
	}
	if s := now.Unix(); s != w.second {
		w.second, w.n = s, 0
	}
	if w.n++; w.n > linesPerSecond {
		w.leftOut++
		return 0, false
	}
	leftOut, w.leftOut = w.leftOut, 0
	return leftOut, true
}
