package notify

import "slices"

// Source is a stream of notifications.
type Source uint8

// The sources of a client's notifications.
const (
	Listener Source = iota // the pool's listener connection
	Backend                // the backend that the client has
)

func (s Source) other() Source { return 1 - s }

// ChannelsMax bounds the channels of one client on the listener connection. A client with more keeps its backend.
const ChannelsMax = 1000

// queueMax bounds what is kept of one stream until the other has shown the mark.
const queueMax = 1 << 20

// Subscriber is a client that listens, or has listened.
type Subscriber struct {
	Client uint32 // the caller's number of it

	hub      *Hub
	channels []place // that the listener connection listens to on its behalf, even while the backend is the source
	source   Source
	token    uint64  // of the mark of the switch that is under way; 0: none is
	marked   [2]bool // which source has shown that mark
	waits    bool    // for its channels to be listened to
	lost     bool    // some may have been missed, and it has not been told
	queue    []byte  // what the new source has said before the old one has shown the mark
	due      []byte  // what it is to be sent
}

// Listens reports whether the client is subscribed to anything.
func (s *Subscriber) Listens() bool { return s != nil && len(s.channels) > 0 }

// Native reports whether the client's backend listens for it: it may not leave the client.
func (s *Subscriber) Native() bool {
	if s == nil {
		return false
	}
	return (s.source == Backend) != (s.token != 0 && s.marked[Backend])
}

// Settled reports whether no switch is under way.
func (s *Subscriber) Settled() bool { return s == nil || s.token == 0 }

// Token is that of the mark of the switch under way.
func (s *Subscriber) Token() uint64 { return s.token }

// AppendListens appends a LISTEN for each of the client's channels.
func (s *Subscriber) AppendListens(dst []byte) []byte {
	for _, c := range s.channels {
		dst = AppendListen(dst, c.name)
	}
	return dst
}

// AppendListen appends the statement, with a semicolon.
func AppendListen(dst []byte, channel string) []byte {
	return append(AppendName(append(dst, "LISTEN "...), channel), ';')
}

// AppendName appends a quoted name.
func AppendName(dst []byte, name string) []byte {
	dst = append(dst, '"')
	for i := range len(name) {
		if name[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, name[i])
	}
	return append(dst, '"')
}

// verdict is what becomes of a notification for one client.
type verdict uint8

const (
	never verdict = iota
	now
	later // once the old source has shown the mark
)

func (s *Subscriber) verdict(from Source) verdict {
	switch {
	case from == s.source && !(s.token != 0 && s.marked[from]):
		return now
	case from != s.source && s.token != 0 && s.marked[from]:
		return later
	}
	return never
}

// FromBackend judges a notification that came on the client's backend. True: the client gets it at once.
func (s *Subscriber) FromBackend(channel, message []byte) bool {
	switch s.verdict(Backend) {
	case now:
		return true
	case later:
		s.enqueue(message)
		return false
	default:
	}
	return s.source == Listener && s.token == 0 && !s.has(channel) // the listener connection has not been asked to listen to it
}

func (s *Subscriber) has(channel []byte) bool {
	for _, c := range s.channels {
		if c.name == string(channel) {
			return true
		}
	}
	return false
}

func (s *Subscriber) enqueue(message []byte) {
	if len(s.queue)+len(message) > queueMax {
		s.queue, s.lost = nil, true
		return
	}
	s.queue = append(s.queue, message...)
}

// MarkedByBackend takes note of a mark on the client's backend.
func (s *Subscriber) MarkedByBackend(payload []byte) {
	if token, ok := parseToken(payload); ok && s.token == token {
		s.hub.mark(s, Backend)
	}
}

// TakeDue returns what the client is to be sent now.
func (s *Subscriber) TakeDue() []byte {
	due := s.due
	s.due = nil
	return due
}

// place is where a subscriber stands among those of a channel.
type place struct {
	*channel
	at int
}

// place is which of the subscriber's channels that is; negative: none.
func (s *Subscriber) place(c *channel) int {
	return slices.IndexFunc(s.channels, func(p place) bool { return p.channel == c })
}

// drop removes one of the subscriber's channels, and returns where it stood among those of the channel.
func (s *Subscriber) drop(c *channel) (at int) {
	i, last := s.place(c), len(s.channels)-1
	at = s.channels[i].at
	s.channels[i] = s.channels[last]
	s.channels[last] = place{}
	s.channels = s.channels[:last]
	return at
}
