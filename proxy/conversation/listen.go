package conversation

import (
	"strconv"

	"weir/proxy/exchange"
	"weir/proxy/notify"
	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// A client's LISTEN, UNLISTEN and NOTIFY go to its backend as they are, so the server alone decides what they do and when. What the client
// listens to is asked of the backend once its transaction is over; then the pool's listener connection listens for it (package notify), the
// backend ceases to, and may leave. A client that is listened for so gets a backend that listens itself before it sends what may change
// that, or what may show it.

// listening is what is known of what a backend listens to. A moment is the number of the last answer that was asked for, plus one.
type listening struct {
	channels []string
	known    uint64 // the moment at which channels was true
	failed   uint64 // the moment at which an errand about it failed: it is not tried again before the client has asked for more
	over     bool   // the listener connection listens for the client: the backend may cease to
}

// stirring are the effects of texts for which a client that listens needs a backend that does. All else that a text shows is the same
// with any backend. Blocks are among them because what comes in one cannot be prepared for.
const stirring = sqlscan.Listen | sqlscan.Unlisten | sqlscan.Notify | sqlscan.Discard | sqlscan.TransactionBlock | sqlscan.Execute |
	sqlscan.Do | sqlscan.Call | sqlscan.Opaque

// stirs reports whether a text with these effects stirs, or may change the encoding in which the client is to be sent notifications.
func stirs(e sqlscan.Effects) bool { return e&stirring != 0 || e&alters != 0 && e&legible == 0 }

// mustTakeOn reports whether the client, for which the backend does not listen yet, needs that for the requests that begin with m. The
// backend must be the source before they are sent: what the client itself notifies comes before the end of its answer.
func (s *Server) mustTakeOn(c *Client, f *Flow, m *message) bool {
	if !c.Sub.Listens() || c.Sub.Native() && c.Sub.Settled() || s.listen.failed == s.moment() || s.account.Unended() || s.account.Skipping() ||
		s.account.Copying() != exchange.CopyNone || s.account.Status() != wire.TxIdle {
		return false
	}
	return !s.calm(c, f.p[m.at:])
}

// calm reports whether p begins with requests, up to the one that ends their transaction, that do not stir.
func (s *Server) calm(c *Client, p []byte) bool {
	for len(p) >= wire.HeaderLen {
		f := wire.PeekFrame(p)
		if f.CheckClient() != wire.FrameOK || len(p) < f.Total() {
			return false
		}
		body := p[wire.HeaderLen:f.Total()]
		switch f.Type {
		case wire.ClientSync, wire.ClientTerminate:
			return true
		case wire.ClientQuery:
			return !s.textStirs(wire.PeekQuery(body))
		case wire.ClientFunctionCall:
			return wire.CallsLargeObject(body)
		case wire.ClientParse:
			if _, text, err := wire.PeekParse(body); err != nil || s.textStirs(text) {
				return false
			}
		case wire.ClientBind:
			if _, name, err := wire.PeekBind(body); err != nil || s.runsStirring(c, name) {
				return false
			}
		}
		p = p[f.Total():]
	}
	return false
}

// runsStirring reports whether a statement that was prepared before may stir.
func (s *Server) runsStirring(c *Client, name []byte) bool {
	statement := c.names.Unnamed()
	if len(name) > 0 {
		if !s.shared.Shares {
			return true // what it does is not known
		}
		statement = c.names.Statement(prepared.Cut(name))
	}
	return statement != nil && (stirs(statement.Effects(s.mode)) || s.shared.keepers.some() && s.shared.recordOf(statement, s.mode).kept.listens())
}

// textStirs reports whether a text stirs, or calls functions that may.
func (s *Server) textStirs(text []byte) bool {
	if stirs(s.read(text)) {
		return true
	}
	return s.shared.keepers.some() && recordOf(s.shared, sqlscan.Identify(text, s.mode), text, s.mode).kept.listens()
}

// moment is now, as listening counts.
func (s *Server) moment() uint64 { return s.account.Asked() + 1 }

// listenFate is the part of Fate that is about listening, for a backend that is free, between two messages of its client. Stays: there is
// nothing to be done.
func (s *Server) listenFate(c *Client) Fate {
	if s.pins&session.Listen == 0 && c.Sub == nil {
		return Stays
	}
	if s.shared.Marker == "" || s.shared.Mode == Session || c.toSync || s.listen.failed == s.moment() || !c.Sub.Settled() && !s.listen.over {
		return Stays
	}
	pins := s.Pins()
	switch {
	case s.listen.over:
		return Unlistens
	case c.Sub.Listens() && !c.Sub.Native() && (c.hold == HoldListen || pins&session.Listen != 0 || !s.fits(c)):
		return TakesOn
	case pins != session.Listen || c.hold != HoldNone || !s.fits(c):
		return Stays
	case s.listen.known != s.moment():
		return AsksChannels
	}
	return HandsOver
}

// mayHandOver reports whether nothing but listening keeps the backend with its client, and the listener connection may do that.
func (s *Server) mayHandOver() bool {
	c := s.client
	return c != nil && s.shared.Marker != "" && s.shared.Mode != Session && s.Pins() == session.Listen && s.listen.failed != s.moment() && s.fits(c)
}

// listenLets reports whether the backend may leave its client, as far as listening goes: one whose encoding has changed is taken on first,
// which waits for a switch under way.
func (s *Server) listenLets(c *Client) bool {
	return c.Sub == nil || !s.listen.over && (c.Sub.Settled() || s.fits(c))
}

// fits reports whether the listener connection is sent texts in the client's encoding.
func (s *Server) fits(c *Client) bool {
	return s.shared.ListenerEncoding == "" || s.shared.ListenerEncoding == EncodingOf(c.Told)
}

// EncodingOf is the client_encoding among reported parameters.
func EncodingOf(params []session.Setting) string {
	encoding, _ := valueOf(params, "client_encoding")
	return encoding
}

// Channels is what the backend listens to, after Fate has said HandsOver.
func (s *Server) Channels() []string { return s.listen.channels }

// Unlistened notes that the backend has been found to listen to nothing.
func (s *Server) Unlistened() { s.pins &^= session.Listen }

// The errands about listening.
var (
	// Channels asks what the backend listens to.
	Channels = &Errand{Name: "channels", text: appendChannels, onRow: channelRow, onEnd: channelsKnown}
	// HandOver sends the mark after which the listener connection listens for the client.
	HandOver = &Errand{Name: "hand over", text: appendHandOver, onEnd: handedOver}
	// Unlisten has the backend listen to nothing, once the client has been handed over.
	Unlisten = &Errand{Name: "unlisten", text: appendUnlisten, onEnd: unlistened}
	// TakeOn has the backend listen for its client, and sends the mark after which it is the source.
	TakeOn = &Errand{Name: "take on", text: appendTakeOn, onEnd: takenOn}
)

// Guards of the errands about listening against the settings of the client. The texts run in one transaction. A mark waits for the lock
// that all commits with notifications take, which may take long where a standby is waited for, and its loss would hurt only a switch that
// is lost with it.
const (
	askGuard  = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;SET LOCAL statement_timeout TO 0;"
	markGuard = "SET LOCAL statement_timeout TO 0;SET LOCAL lock_timeout TO '5s';SET LOCAL synchronous_commit TO off;"
)

func appendChannels(s *Server, dst []byte) []byte {
	s.listen.channels = nil
	return wire.AppendQuery(dst, askGuard+"SELECT pg_catalog.pg_listening_channels()")
}

func channelRow(s *Server, row []byte) {
	if len(s.listen.channels) > notify.ChannelsMax {
		return
	}
	if values, err := wire.PeekRow(row); err == nil && len(values) == 1 {
		s.listen.channels = append(s.listen.channels, string(values[0]))
	}
}

func channelsKnown(s *Server, status wire.TxStatus, refused bool) Outcome {
	s.listen.known = s.moment()
	if refused || len(s.listen.channels) > notify.ChannelsMax {
		s.listen.failed = s.moment()
	}
	return s.listenEnds(status)
}

// listenEnds is the outcome of an errand about listening.
func (s *Server) listenEnds(status wire.TxStatus) Outcome {
	switch {
	case status != wire.TxIdle:
		return OutcomeBroken
	case s.client == nil:
		s.doubt(session.Listen)
		return OutcomeClean
	}
	return OutcomeListening
}

func (s *Server) appendMark(sql []byte, token uint64) []byte {
	sql = notify.AppendName(append(sql, "NOTIFY "...), s.shared.Marker)
	return append(strconv.AppendUint(append(sql, ",'"...), token, 10), '\'')
}

func appendHandOver(s *Server, dst []byte) []byte {
	sql := notify.AppendListen([]byte(markGuard), s.shared.Marker)
	return wire.AppendQueryBytes(dst, s.appendMark(sql, s.client.Sub.Token()))
}

func handedOver(s *Server, status wire.TxStatus, refused bool) Outcome {
	if s.client != nil {
		if s.listen.over = !refused && !s.client.Sub.Native(); !s.listen.over {
			s.listen.failed = s.moment()
		}
	}
	return s.listenEnds(status)
}

func appendUnlisten(_ *Server, dst []byte) []byte { return wire.AppendQuery(dst, "UNLISTEN *") }

func unlistened(s *Server, status wire.TxStatus, refused bool) Outcome {
	if refused {
		return OutcomeBroken
	}
	s.listen = listening{}
	outcome := s.listenEnds(status)
	if outcome == OutcomeListening {
		s.pins &^= session.Listen
	}
	return outcome
}

func appendTakeOn(s *Server, dst []byte) []byte {
	sql := notify.AppendListen([]byte(markGuard), s.shared.Marker)
	sql = s.appendMark(s.client.Sub.AppendListens(sql), s.client.Sub.Token())
	dst = wire.AppendQueryBytes(dst, sql)
	sql = notify.AppendName(append(sql[:0], "UNLISTEN "...), s.shared.Marker) // pg_listening_channels must not show it
	return wire.AppendQueryBytes(dst, sql)
}

func takenOn(s *Server, status wire.TxStatus, refused bool) Outcome {
	if s.client != nil && (refused || !s.client.Sub.Native()) {
		s.listen.failed = s.moment()
	} else {
		s.doubt(session.Listen)
	}
	return s.listenEnds(status)
}

// Notifies reports, once, whether a statement has been judged whose text speaks of NOTIFY.
func (s *Server) Notifies() bool { return s.concerned(sqlscan.Notify) }

// ListenRefused reports whether the last errand about listening has failed.
func (s *Server) ListenRefused() bool { return s.listen.failed == s.moment() }

// notification judges a NotificationResponse, the message at pos in the read. The process that it names becomes the one that clients know.
func (s *Server) notification(f *Flow, message []byte, total, pos int) {
	passes := s.client != nil && s.reaches(message, total)
	if !passes {
		f.upTo(pos)
		f.replaced(pos + len(message))
		s.drop = len(message) < total
	}
}

func (s *Server) reaches(message []byte, total int) bool {
	if len(message) < total {
		return s.errand == nil // longer than any that PostgreSQL sends
	}
	sub := s.client.Sub
	pid, channel, payload, err := wire.PeekNotification(message[wire.HeaderLen:])
	if err != nil {
		return s.errand == nil
	}
	if string(channel) == s.shared.Marker && s.shared.Marker != "" {
		if sub != nil {
			sub.MarkedByBackend(payload)
		}
		return false
	}
	if s.shared.Pid != nil {
		wire.PutNotificationPID(message, s.shared.Pid(pid))
	}
	if sub != nil && !sub.FromBackend(channel, message) {
		return false
	}
	s.shared.Notifications++
	return true
}
