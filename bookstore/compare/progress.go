package compare

import (
	"fmt"
	"io"
	"sync"
)

// Progress shows that something happens: on a terminal as one line that changes, elsewhere as lines for what is worth
// one. It may be used from any goroutine. A nil Progress shows nothing.
type Progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	dirty    bool // the terminal's line holds something
}

// NewProgress shows progress on w.
func NewProgress(w io.Writer, terminal bool) *Progress { return &Progress{w: w, terminal: terminal} }

// clearLine moves to the line's first column and erases it (ECMA-48 CR, EL).
const clearLine = "\r\x1b[K"

// Say writes a line that stays.
func (p *Progress) Say(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// Update replaces the changing line of a terminal.
func (p *Progress) Update(format string, args ...any) {
	if p == nil || !p.terminal {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, clearLine+format, args...)
	p.dirty = true
}

// Done clears the changing line, before something else is written.
func (p *Progress) Done() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Progress) clear() {
	if p.dirty {
		fmt.Fprint(p.w, clearLine)
		p.dirty = false
	}
}

// Terminal says whether Update shows anything.
func (p *Progress) Terminal() bool { return p != nil && p.terminal }
