package notify

import (
	"errors"
	"slices"

	"weir/proxy/wire"
)

// Change is what a Hub asks of its Line: to listen to a channel, or to cease to.
type Change struct {
	Channel string
	Listen  bool
}

// Line is a listener connection as the Hubs see it that share it: it listens to what any of them wants, and each hears what it has asked
// for. It is made when the connection has logged in, and ends with it. Like a Hub it belongs to one loop; what goes from one to the other
// may take its time, but must keep its order.
type Line struct {
	channels map[string]*shared
	members  []*Member
	changes  []*shared
	asked    []*shared // by the statement under way
	busy     bool      // a statement is under way
	skip     int       // of a message that is not looked at
	refused  bool      // the statement under way has met an error
}

// shared is a channel that some of the members listen to.
type shared struct {
	name    string
	members []*Member
	standing
}

// Member is a Hub's part in a Line. The zero value has none yet.
type Member struct {
	awaits []*shared // that it has asked to listen to, of those that had to be asked for
	asked  bool      // it is owed an answer
	heard  []byte
}

// NewLine is for a connection that has logged in.
func NewLine() *Line { return &Line{channels: map[string]*shared{}} }

// Join adds a member.
func (l *Line) Join(m *Member) { l.members = append(l.members, m) }

// Leave removes a member, which hears nothing more. The connection ceases to listen to what only that one wanted.
func (l *Line) Leave(m *Member) {
	l.members = slices.DeleteFunc(l.members, func(o *Member) bool { return o == m })
	for _, c := range l.channels {
		l.drop(m, c)
	}
	*m = Member{}
}

// Ask is what a member's Hub asks for with Send. The answer is a ReadyForQuery among what the member hears: from there on it hears all that is
// notified on the channels. Nothing else may be asked for by the member before that.
func (l *Line) Ask(m *Member, changes []Change) {
	m.asked = true
	for _, change := range changes {
		c := l.channels[change.Channel]
		if !change.Listen {
			if c != nil {
				l.drop(m, c)
			}
			continue
		}
		if c == nil {
			c = &shared{name: change.Channel}
			l.channels[c.name] = c
		}
		if !slices.Contains(c.members, m) {
			c.members = append(c.members, m)
		}
		l.change(c)
		if !c.ready() {
			m.awaits = append(m.awaits, c)
		}
	}
	m.answer()
}

func (l *Line) drop(m *Member, c *shared) {
	if i := slices.Index(c.members, m); i >= 0 {
		c.members = slices.Delete(c.members, i, i+1)
		l.change(c)
	}
}

// change has the connection listen to a channel, or cease to, where that is not so already.
func (l *Line) change(c *shared) {
	switch ask, forget := c.due(len(c.members) > 0); {
	case ask:
		l.changes = append(l.changes, c)
	case forget:
		delete(l.channels, c.name)
	}
}

// answer tells the member that all it has asked for is done, once that is so.
func (m *Member) answer() {
	if !m.asked || slices.ContainsFunc(m.awaits, func(c *shared) bool { return !c.ready() }) {
		return
	}
	m.asked, m.awaits = false, nil
	m.heard = wire.AppendReadyForQuery(m.heard, wire.TxIdle)
}

// Next returns the text that is to be sent now, as a Query; nil: none is.
func (l *Line) Next() []byte {
	if l.busy || len(l.changes) == 0 {
		return nil
	}
	var text []byte
	n := 0
	for ; n < len(l.changes) && len(text) < textMax; n++ {
		c := l.changes[n]
		if c.asking = len(c.members) > 0; c.asking {
			text = AppendListen(text, c.name)
		} else {
			text = append(AppendName(append(text, "UNLISTEN "...), c.name), ';')
		}
		l.asked = append(l.asked, c)
	}
	l.changes = slices.Delete(l.changes, 0, n)
	l.busy = true
	return text
}

// answered takes note that the statement under way has been carried out.
func (l *Line) answered() {
	l.busy = false
	for _, c := range l.asked {
		c.answered()
		l.change(c)
	}
	clear(l.asked)
	l.asked = l.asked[:0]
	for _, m := range l.members {
		m.answer()
	}
}

// Channels is how many channels the members listen to, with those of marks.
func (l *Line) Channels() int { return len(l.channels) }

// TakeHeard returns what the member's Hub is to be told with Heard; nil: nothing. The caller owns it.
func (m *Member) TakeHeard() []byte {
	heard := m.heard
	m.heard = nil
	return heard
}

// Errors of the connection.
var (
	errNonsense = errors.New("a message that no server sends")
	errRefused  = errors.New("the server has refused to listen")
	errEnds     = errors.New("the server has ended the connection")
)

// lookMax is how much of a message is waited for. Notifications are shorter.
const lookMax = 16 << 10

// FromServer takes the next bytes of the connection. What it has not taken is given again, with more after it. An error: the connection must
// be closed, and the Hubs be told that it was lost.
func (l *Line) FromServer(p []byte) (took int, err error) {
	took = min(l.skip, len(p))
	l.skip -= took
	for len(p)-took >= wire.HeaderLen {
		rest := p[took:]
		f := wire.PeekFrame(rest)
		if f.CheckServer() != wire.FrameOK {
			return took, errNonsense
		}
		if len(rest) < min(f.Total(), lookMax) {
			break
		}
		n := min(f.Total(), len(rest))
		if err := l.message(f, rest[:n]); err != nil {
			return took, err
		}
		l.skip = f.Total() - n
		took += n
	}
	return took, nil
}

func (l *Line) message(f wire.Frame, message []byte) error {
	switch f.Type {
	case wire.ServerNotification:
		if f.Total() == len(message) {
			l.notified(message)
		}
	case wire.ServerErrorResponse:
		if l.refused = true; wire.Fatal(message[wire.HeaderLen:]) {
			return errEnds
		}
	case wire.ServerReadyForQuery:
		if l.refused {
			return errRefused
		}
		l.answered()
	}
	return nil
}

// notified passes a notification on to the members that listen to its channel.
func (l *Line) notified(message []byte) {
	_, name, _, err := wire.PeekNotification(message[wire.HeaderLen:])
	if err != nil {
		return
	}
	if c := l.channels[string(name)]; c != nil {
		for _, m := range c.members {
			m.heard = append(m.heard, message...)
		}
	}
}
