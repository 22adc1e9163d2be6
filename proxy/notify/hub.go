package notify

import (
	"strconv"

	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// phase is what the listener connection is doing.
type phase uint8

const (
	closed   phase = iota // there is none, and none is needed → dialling
	dialling              // → ready, waiting
	ready                 // nothing is under way on it → busy, closed, waiting
	busy                  // a statement of weir's is under way → ready, waiting
	waiting               // it was lost, or could not be had: it is made again after a while → dialling, closed
)

func (p phase) String() string {
	return [...]string{"closed", "dialling", "ready", "busy", "waiting"}[p]
}

// Times, in nanoseconds.
const (
	millisecond = int64(1e6)
	retryFirst  = 100 * millisecond
	retryMost   = 10_000 * millisecond
	answerMax   = 10_000 * millisecond // for a statement, and for a mark
	lingerFor   = 10_000 * millisecond // after the last client has gone
)

// textMax bounds one statement on the listener connection, in bytes, by one name.
const textMax = 64 << 10

// channel is what the listener connection listens to.
type channel struct {
	name        string
	subscribers []*Subscriber
	standing
}

// standing is how far it has come that a channel is listened to, or no longer.
type standing struct {
	listened bool // the server has confirmed it
	asking   bool // the statement under way asks for it
	changing bool // it is among what is to be asked for, or has been
}

// ready reports whether the channel is listened to and goes on to be: an UNLISTEN may be under way.
func (s *standing) ready() bool { return s.listened && !s.changing }

// answered takes note that the statement under way has been carried out.
func (s *standing) answered() { s.listened, s.asking, s.changing = s.asking, false, false }

// due reports whether that is to be asked for now, or whether the channel can be forgotten.
func (s *standing) due(wanted bool) (ask, forget bool) {
	switch {
	case s.changing:
		return false, false
	case s.listened != wanted:
		s.changing = true
		return true, false
	}
	return false, !s.listened
}

// Hub is the pool's listener connection as the clients of one loop need it, whether there is one just now or not.
type Hub struct {
	// For Pending, which is asked for each read.
	due     []*Subscriber
	stirred []*Subscriber

	Marker      string                     // the channel of marks. No client may guess it.
	LostChannel string                     // on which clients are told that they may have missed notifications; empty: by a notice only
	Pid         func(server uint32) uint32 // what clients know a process of the server by; nil: as the server does

	Delivered uint64 // notifications, once for each client

	channels    map[string]*channel
	subscribers map[*Subscriber]struct{}
	switches    map[uint64]*Subscriber // under way, by token
	lastToken   uint64
	wanted      int // channels with a subscriber

	phase   phase
	until   int64 // when the present phase ends by itself; 0: never
	tries   int   // that have failed in a row
	whole   bool  // the connection listens to all that it has to
	greeted bool  // it listens for marks
	changes []*channel
	asked   []*channel // by the statement under way
	clock   int64      // the time as it was last passed in
	overdue int64      // when a mark must have been shown; 0: none is awaited
}

// New makes a Hub whose marks go over that channel.
func New(marker string) *Hub {
	return &Hub{
		Marker: marker, channels: map[string]*channel{}, subscribers: map[*Subscriber]struct{}{}, switches: map[uint64]*Subscriber{},
	}
}

// Subscribe makes a client known. It has no channels yet, and its backend listens for it.
func (h *Hub) Subscribe(client uint32) *Subscriber {
	s := &Subscriber{Client: client, hub: h, source: Backend}
	h.subscribers[s] = struct{}{}
	return s
}

// Reserve has the connection listen to these channels, and no others, on behalf of a client whose backend listens to them. It reports
// whether it does already; otherwise the client is among those of TakeStirred when it does.
func (h *Hub) Reserve(s *Subscriber, names []string) bool {
	if len(s.channels) == 0 {
		s.source = Backend
	}
	keep := make(map[string]bool, len(names))
	for _, name := range names {
		keep[name] = true
	}
	for i := len(s.channels) - 1; i >= 0; i-- {
		if c := s.channels[i].channel; !keep[c.name] {
			h.leave(s, c)
		}
	}
	for _, name := range names {
		h.enter(s, name)
	}
	s.waits = !h.isReady(s)
	return !s.waits
}

func (h *Hub) enter(s *Subscriber, name string) {
	c := h.channels[name]
	if c == nil {
		c = &channel{name: name}
		h.channels[name] = c
	}
	if s.place(c) >= 0 {
		return
	}
	if len(c.subscribers) == 0 {
		h.wanted++
	}
	s.channels = append(s.channels, place{c, len(c.subscribers)})
	c.subscribers = append(c.subscribers, s)
	h.change(c)
}

func (h *Hub) leave(s *Subscriber, c *channel) {
	at := s.drop(c)
	last := len(c.subscribers) - 1
	if moved := c.subscribers[last]; at < last {
		c.subscribers[at] = moved
		moved.channels[moved.place(c)].at = at
	}
	c.subscribers[last] = nil
	c.subscribers = c.subscribers[:last]
	if len(c.subscribers) == 0 {
		h.wanted--
		h.change(c)
	}
}

// change has the connection listen to a channel, or cease to, where that is not so already.
func (h *Hub) change(c *channel) {
	switch ask, forget := c.due(len(c.subscribers) > 0); {
	case ask:
		h.changes = append(h.changes, c)
	case forget:
		delete(h.channels, c.name)
	}
}

func (h *Hub) isReady(s *Subscriber) bool {
	if h.phase != ready && h.phase != busy || !h.greeted {
		return false
	}
	for _, c := range s.channels {
		if !c.ready() {
			return false
		}
	}
	return true
}

// Release is for a client whose backend has been found to listen to nothing: nor does weir on its behalf.
func (h *Hub) Release(s *Subscriber) {
	h.Reserve(s, nil)
	s.source, s.waits, s.lost = Listener, false, false
}

// Remove is for a client that has gone.
func (h *Hub) Remove(s *Subscriber) {
	if s == nil {
		return
	}
	h.Cancel(s)
	h.Reserve(s, nil)
	s.waits, s.due = false, nil
	delete(h.subscribers, s)
}

// Begin begins the switch of a client to the other source, with a mark whose token it returns. No other switch of it is under way; one
// to the listener connection needs what Reserve reports.
func (h *Hub) Begin(s *Subscriber, at int64) uint64 {
	h.lastToken++
	s.token, s.marked = h.lastToken, [2]bool{}
	if h.phase != ready && h.phase != busy || !h.greeted {
		s.marked[Listener] = true // it has said all that it will
	}
	h.switches[s.token] = s
	if h.clock = at; h.overdue == 0 {
		h.marksAwaited()
	}
	return s.token
}

// Cancel is for a mark that has not been sent after all.
func (h *Hub) Cancel(s *Subscriber) {
	delete(h.switches, s.token)
	s.token, s.marked, s.queue = 0, [2]bool{}, nil
	h.marksAwaited()
}

// Abandon is for a client whose backend has been lost, and that is not lost with it: the listener connection is its source.
func (h *Hub) Abandon(s *Subscriber) {
	if s == nil || s.source == Listener && s.token == 0 {
		return
	}
	if len(s.channels) > 0 && (s.source == Backend || s.marked[Listener] || len(s.queue) > 0) {
		s.lost = true
	}
	h.Cancel(s)
	s.source, s.waits = Listener, false
	h.tell(s)
}

// mark takes note that a source has shown the mark of a client's switch.
func (h *Hub) mark(s *Subscriber, by Source) {
	s.marked[by] = true
	h.marksAwaited()
	if !s.marked[by.other()] {
		return
	}
	delete(h.switches, s.token)
	s.source, s.token, s.marked = s.source.other(), 0, [2]bool{}
	h.deliver(s, s.queue)
	s.queue = nil
	h.stirred = append(h.stirred, s)
	h.tell(s)
}

// marksAwaited sets the time by which the connection must show its next mark.
func (h *Hub) marksAwaited() {
	h.overdue = 0
	for _, s := range h.switches {
		if !s.marked[Listener] {
			h.overdue = h.clock + answerMax
			return
		}
	}
}

// tell has a client told that it may have missed something, if that is so and nothing more is being missed.
func (h *Hub) tell(s *Subscriber) {
	if !s.lost || s.token != 0 || s.source == Listener && !h.whole {
		return
	}
	s.lost = false
	h.deliver(s, wire.AppendNoticeResponse(nil, pgerror.NotificationsMissed))
	if h.LostChannel != "" {
		h.deliver(s, wire.AppendNotification(nil, 0, h.LostChannel, pgerror.NotificationsMissed.Message))
	}
}

func (h *Hub) deliver(s *Subscriber, messages []byte) {
	if len(messages) == 0 {
		return
	}
	if len(s.due) == 0 {
		h.due = append(h.due, s)
	}
	s.due = append(s.due, messages...)
}

// Pending reports whether TakeDue or TakeStirred have something.
func (h *Hub) Pending() bool { return len(h.due) > 0 || len(h.stirred) > 0 }

// TakeDue returns the clients that are to be sent what their TakeDue returns; valid until the next call of a method.
func (h *Hub) TakeDue() []*Subscriber {
	due := h.due
	h.due = h.due[:0]
	return due
}

// TakeStirred returns the clients whose channels are listened to now, or whose switch is over.
func (h *Hub) TakeStirred() []*Subscriber {
	stirred := h.stirred
	h.stirred = nil
	return stirred
}

// Clients is how many clients listen by way of the connection, and not by their backends.
func (h *Hub) Clients() (n int) {
	for s := range h.subscribers {
		if s.Listens() && !s.Native() {
			n++
		}
	}
	return n
}

// Channels is how many channels they listen to.
func (h *Hub) Channels() int { return h.wanted }

// EachChannel gives yield each channel and how many clients listen to it, until yield returns false.
func (h *Hub) EachChannel(yield func(name string, clients int) bool) {
	for _, c := range h.channels {
		if len(c.subscribers) > 0 && !yield(c.name, len(c.subscribers)) {
			return
		}
	}
}

// Connected reports whether there is a connection.
func (h *Hub) Connected() bool { return h.phase == ready || h.phase == busy }

func parseToken(payload []byte) (uint64, bool) {
	token, err := strconv.ParseUint(string(payload), 10, 64)
	return token, err == nil && token != 0
}
