package conversation

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// read has the server's next bytes judged.
func (s *rigServer) read(p []byte) {
	if s.gone {
		return
	}
	s.consume(append(s.carry, p...))
	s.rig.settle()
}

func (s *rigServer) consume(p []byte) {
	s.carry = nil
	for !s.gone {
		ours := p
		if c := s.client; c != nil && c.last {
			ours = p[:min(len(p), int(c.talk.Outlet().Lacks()))]
		}
		step := s.talk.FromServer(ours, &s.rig.toClient)
		s.toClient(s.rig.toClient.Bytes())
		s.rig.listenerActs()
		p = p[step.Took:]
		if c := s.client; step.Resume && c != nil {
			s.rig.later = append(s.rig.later, c.resumeHeld)
		}
		switch step.Event {
		case EventReady:
			if s.client != nil {
				s.follow()
			}
			continue
		case EventSync:
			s.send(s.talk.AppendSync(nil))
			continue
		case EventRetry:
			s.rig.say(s.name, "is sent the batch again")
			c := s.client
			c.carry = append(append([]byte(nil), s.talk.Again()...), c.carry...)
			s.rig.later = append(s.rig.later, c.resumeHeld)
			continue
		case EventErrand:
			s.errandEnded(step.Outcome)
			continue
		case EventNonsense:
			s.rig.say(s.name, "%s: %s", step.Doubt, s.talk.Recent())
			s.lose()
			return
		case EventNone:
		}
		if len(ours) == step.Took && len(p) > 0 {
			continue
		}
		break
	}
	if s.talk.Unheard() && !s.gone {
		s.giveUp()
	}
	if len(p) > 0 && !s.gone {
		s.carry = append([]byte(nil), p...)
	}
	if s.client == nil && s.busy && !s.gone {
		s.clean()
	}
}

// toClient forwards bytes and lets weir's own words follow where they may.
func (s *rigServer) toClient(p []byte) {
	c := s.client
	if c == nil {
		if len(p) > 0 {
			s.rig.fault("%s has no client, and bytes for one: %q", s.name, p)
		}
		return
	}
	c.write(p)
	if got, want := c.walk.Lacks(), c.talk.Outlet().Lacks(); got != want {
		s.rig.fault("%s lacks %d of a message, its outlet says %d", c.name, got, want)
	}
	queued, last := c.talk.Outlet().Take()
	c.write(queued)
	if last {
		c.leave()
	}
}

func (s *rigServer) follow() {
	fate := s.talk.Fate()
	if fate != Stays {
		s.rig.say(s.name, "%v", fate)
	}
	switch fate {
	case Leaves:
		s.detach()
	case Probed:
		s.send(s.talk.StartProbe(nil))
	case Questioned:
		s.start(Ask)
	case Refitted:
		s.start(Switch)
	case Restored:
		s.start(Restore)
	case Recalled:
		s.start(Recall)
	case Forbidden:
		s.client.tell(wire.AppendErrorResponse(nil, pgerror.StatementModeTransaction), true)
	case TakesOn:
		s.rig.hub.Begin(s.client.talk.Sub, 1)
		s.start(TakeOn)
	case AsksChannels:
		s.start(Channels)
	case HandsOver:
		s.handOver()
	case Unlistens:
		s.start(Unlisten)
	case Stays:
	}
}

func (s *rigServer) detach() {
	c := s.client
	s.talk.Part()
	s.client, c.server = nil, nil
}

func (s *rigServer) reconsider() {
	switch {
	case s.gone || !s.busy || s.talk.Errand() != nil:
	case s.client == nil:
		s.clean()
	default:
		s.follow()
		if s.client == nil {
			s.clean()
		}
	}
}

func (s *rigServer) start(e *Errand) {
	p := s.talk.Start(e, nil)
	if e != Ask || s.rig.asks {
		s.send(p)
		return
	}
	s.rig.later = append(s.rig.later, func() { s.read(s.confirm()) })
}

// confirm is an answer to Ask: all that has been suspected is so, and no setting has changed.
func (s *rigServer) confirm() []byte {
	var p []byte
	for kind, pin := range pinsOfRows {
		if s.talk.question.asked.read&pin != 0 {
			p = appendRow(p, kind, "", "")
		}
	}
	for _, o := range s.talk.set.Settings() {
		if a := s.talk.question.asked; a.any || slices.Contains(a.settings, o.Name) {
			p = appendRow(p, rowSetting, o.Name, o.Value)
		}
	}
	p = wire.AppendCommandComplete(p, "SELECT 1")
	for range s.talk.awaited {
		p = wire.AppendReadyForQuery(p, wire.TxIdle)
	}
	return p
}

func appendRow(p []byte, values ...string) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
	}
	return append(binary.BigEndian.AppendUint32(append(p, wire.ServerDataRow), uint32(4+len(body))), body...)
}

func (s *rigServer) errandEnded(o Outcome) {
	c := s.client
	s.rig.say(s.name, "%v", [...]string{"is cleaned", "is in its client's settings", "refuses its client's settings", "owes nothing", "has answered", "has been asked to listen", "is lost: broken"}[o])
	switch o {
	case OutcomeClean:
	case OutcomeApplied:
		c.write(c.talk.AppendNews(nil, s.talk.Params()))
		c.write(s.talk.TakeReady(nil))
		c.resume()
		s.rig.later = append(s.rig.later, s.reconsider)
	case OutcomeRefused:
		if c != nil {
			s.detach()
			c.leave()
		}
	case OutcomeAnswered:
		if s.client == nil {
			break
		}
		if s.follow(); s.client != nil {
			s.rig.later = append(s.rig.later, s.client.resumeHeld)
		}
	case OutcomeListening:
		if s.talk.ListenRefused() && !c.talk.Sub.Settled() {
			s.rig.hub.Cancel(c.talk.Sub)
		}
		if s.follow(); s.client != nil {
			s.rig.later = append(s.rig.later, s.client.resumeHeld)
		}
	case OutcomeAsked:
		if s.follow(); s.client != nil && s.talk.Errand() == nil {
			s.client.resume()
			s.rig.later = append(s.rig.later, s.reconsider)
		}
	case OutcomeBroken:
		s.lose()
	}
}

func (s *rigServer) clean() { s.cleanBy(s.talk.Cleaning()) }

func (s *rigServer) cleanBy(cleaning Cleaning) {
	if s.gone {
		return
	}
	switch cleaning {
	case CleanNothing:
		if !s.talk.Free() || s.talk.Owes() || s.talk.Due() > 0 || s.talk.account.Owed() > 0 || s.walk.Lacks() > 0 {
			s.rig.fault("%s is handed on with something due", s.name)
		}
		s.busy = false
		for _, c := range s.rig.clients {
			if c.waiting && (c.want == nil || c.want == s) {
				s.rig.later = append(s.rig.later, c.retry)
			}
		}
	case CleanAnswers:
	case CleanSync:
		s.send(s.talk.AppendSync(nil))
	case CleanAsk:
		s.start(Ask)
	case CleanRollback:
		s.start(Rollback)
	case CleanReset:
		s.start(Reset)
	case CleanRetire:
		s.rig.say(s.name, "is retired")
		s.lose()
	}
}

// retry is for a client that waits while a backend has become idle.
func (c *rigClient) retry() {
	if c.waiting && !c.gone && c.getBackend() {
		c.resume()
	}
}

// giveUp closes a backend whose client asks another for the same.
func (s *rigServer) giveUp() {
	s.rig.say(s.name, "is left, and the batch goes to another")
	c := s.client
	p := append(append([]byte(nil), s.talk.Again()...), c.carry...)
	c.carry, c.server, s.client, s.gone = nil, nil, nil, true
	s.talk.Lose()
	c.talk.Rewind()
	s.rig.later = append(s.rig.later, func() { c.consume(p) })
}

// lose ends a backend. Its client is told, unless a message is under way that nothing can make whole.
func (s *rigServer) lose() {
	if s.gone {
		return
	}
	s.gone = true
	c := s.client
	s.talk.Lose()
	if s.client = nil; c == nil {
		return
	}
	c.server = nil
	if !c.talk.Outlet().Inside() {
		c.write(wire.AppendErrorResponse(nil, pgerror.BackendLost))
	}
	c.leave()
}

// String is the state that scripts print.
func (s *rigServer) String() string {
	t := &s.talk
	var words []string
	add := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	switch {
	case s.gone:
		return "gone"
	case !s.busy:
		add(true, "idle")
	case s.client == nil:
		add(true, "without a client")
	default:
		add(true, "with %s", s.client.name)
	}
	add(t.Errand() != nil && !t.Probing(), "on an errand")
	add(t.Probing(), "probing")
	add(t.Due() > 0, "due=%d", t.Due())
	add(t.account.Unended(), "unended")
	add(t.account.Skipping(), "skipping")
	add(t.Copying(), "%v", t.account.Copying())
	add(t.Status() != wire.TxIdle, "%v", t.Status())
	add(t.Doubtful(), "in doubt")
	add(t.Pins() != 0, "pins: %v", t.Pins())
	return strings.Join(words, ", ")
}
