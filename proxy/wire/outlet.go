package wire

// Outlet knows where a client is in the stream of messages that it is sent. It is the owner of that stream: what weir says by itself
// goes out only where no message is under way, or it waits. The zero value stands between two messages.
type Outlet struct {
	lacks  uint32 // of the message under way
	queued []byte // whole messages that wait until that is whole
	last   bool   // the stream ends after them
}

// Sent notes that bytes were forwarded that end with a message which lacks so many more; 0: with a whole one.
func (o *Outlet) Sent(lacks uint32) { o.lacks = lacks }

// Inside reports whether a message is under way: nothing may be put in before it is whole.
func (o *Outlet) Inside() bool { return o.lacks > 0 }

// Lacks is how much the message under way lacks.
func (o *Outlet) Lacks() uint32 { return o.lacks }

// Queue keeps a message until the one under way is whole.
func (o *Outlet) Queue(message []byte) { o.queued = append(o.queued, message...) }

// Queued is how many bytes wait.
func (o *Outlet) Queued() int { return len(o.queued) }

// End makes the stream end as soon as the message under way is whole, and after what is queued.
func (o *Outlet) End() { o.last = true }

// Ending reports whether the stream ends at the next boundary: what the server sends after that is not for the client any more.
func (o *Outlet) Ending() bool { return o.last }

// Take returns what is to be sent now, nil if a message is still under way, and whether the stream ends after it.
func (o *Outlet) Take() (now []byte, last bool) {
	if o.Inside() || o.queued == nil && !o.last {
		return nil, false
	}
	now, o.queued = o.queued, nil
	return now, o.last
}

// Walk follows a stream of messages whose headers have not been looked at.
type Walk struct {
	left uint32 // of the body of the message under way
	have int    // of its header
	head [HeaderLen]byte
}

// Lacks is how much the message under way lacks, as far as that is known; 0: none is under way.
func (w *Walk) Lacks() uint32 {
	if w.have > 0 {
		return max(1, w.left)
	}
	return w.left
}

// Pass takes p and returns its length. Where a message of more than most bytes begins in p, or its header ends there, it returns how much
// of p comes before that, the header, and true; the walk is over then. most 0: no message is too long.
func (w *Walk) Pass(p []byte, most int) (n int, f Frame, beyond bool) {
	for n < len(p) {
		inside := w.left > 0
		took := w.Finish(p[n:])
		if most > 0 && !inside && w.have == 0 {
			if f = PeekFrame(w.head[:]); f.Total() > most {
				return n, f, true
			}
		}
		n += took
	}
	return n, Frame{}, false
}

// Finish takes of p what belongs to the message under way, or to the next one where none is, and returns how much that is.
func (w *Walk) Finish(p []byte) int {
	n := 0
	if w.left == 0 {
		n = copy(w.head[w.have:], p)
		w.have += n
		if w.have < len(w.head) {
			return n
		}
		w.have = 0
		w.left = uint32(max(PeekFrame(w.head[:]).Total()-len(w.head), 0))
	}
	body := min(int(w.left), len(p)-n)
	w.left -= uint32(body)
	return n + body
}
