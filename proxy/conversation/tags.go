package conversation

import (
	"slices"

	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// effects is what the statement that the server was busy with may have done; where the account is in doubt, what any statement may.
func (s *Server) effects(busy uint64) sqlscan.Effects {
	if s.Doubtful() {
		return s.ledger.all()
	}
	if e := s.ledger.at(busy); e != nil {
		return e.effects
	}
	return 0
}

// noteTag enters that a statement has succeeded.
func (s *Server) noteTag(busy uint64, tag []byte) {
	effects := s.effects(busy)
	if s.tempPath {
		s.doubt(session.TempObject)
	}
	if effects == 0 && readsOrWrites(tag) {
		s.block.rolledBack = false
		return
	}
	if e := s.ledger.at(busy); e != nil {
		e.done++
	}
	s.deallocated(busy, tag)
	s.noteChanges(changesOf(tag, effects))
	if string(tag) == "ROLLBACK" {
		s.undoneShapes()
	}
	add, clearAll := session.Combine(effects, tag)
	if vouched(effects, tag) {
		add = 0
	}
	if s.followed(busy, tag) {
		add &^= session.SettingChanged
	}
	if clearAll {
		s.discarded()
	}
	if add != 0 {
		s.caught(busy)
	}
	s.notePins(busy, tag, effects, add)
}

// notePins enters which pins a statement has added, and which it has ended or may have.
func (s *Server) notePins(busy uint64, tag []byte, effects sqlscan.Effects, add session.Pins) {
	s.block.command(tag, add&^s.pins)
	if ended := session.EndedBy(tag) & s.pins; ended != 0 {
		s.pins &^= ended
		if ended&session.PreparedStatement != 0 {
			add |= session.Opaque // what they have done when they were run was not followed
		}
	}
	touched := session.Touched(effects, tag)
	s.touch(touched)
	if touched&session.SQLPrepare != 0 && s.question.executed {
		add |= session.Opaque
	}
	if add&(session.SettingChanged|session.Opaque) != 0 {
		s.block.blind = s.sets(s.ledger.busyWith(busy, s.Doubtful())) || s.block.blind
	}
	if add&session.SettingChanged != 0 {
		s.doubtSettings(s.asks(busy))
		add &^= session.SettingChanged
	}
	s.doubt(add)
}

// sets has the settings be asked for that are in no list, and that statements which have set some may have set by name. blind: there may be some for
// which nobody can ask.
func (s *Server) sets(statements []entry) (blind bool) {
	for _, e := range statements {
		for _, names := range [][]string{e.named, e.asks} {
			s.question.name(names)
			blind = blind || slices.ContainsFunc(names, s.unshown)
		}
		blind = blind || e.makesUp || e.effects&sqlscan.SetConfig != 0 && !e.said
	}
	return blind
}

// discarded is for a client's DISCARD ALL: the session is as it was after the backend's login.
func (s *Server) discarded() {
	s.unquestioned()
	s.follow = follow{}
	if c := s.client; c != nil && c.Set != c.Login {
		s.shared.Settings.Release(c.Set)
		c.Set = s.shared.Settings.Retain(c.Login)
		c.shown(s.shared.Settings)
	}
	s.withheld.discarded = s.client != nil && len(s.client.Login.Settings()) > 0
	s.scope.altered = unaltered
	s.apply(nil)
	s.ownsValues()
}

// asks are the settings that the statement at hand has set to values that its text does not say; nil: any.
func (s *Server) asks(busy uint64) []string {
	if e := s.ledger.at(busy); e != nil && !s.Doubtful() {
		return e.asks
	}
	return nil
}

// readsOrWrites reports whether a tag is that of a command which by itself does nothing to the session: SELECT, INSERT, UPDATE, DELETE,
// FETCH, MOVE, MERGE. Nearly all are.
func readsOrWrites(tag []byte) bool {
	if len(tag) < 3 {
		return false
	}
	switch tag[0] {
	case 'S':
		return tag[2] == 'L'
	case 'I', 'U':
		return tag[1] == 'N' && tag[2] == 'S' || tag[1] == 'P'
	case 'D':
		return tag[1] == 'E' && tag[2] == 'L'
	case 'F', 'M':
		return true
	}
	return false
}

// followed takes note of a command's settings, if they are followed.
func (s *Server) followed(busy uint64, tag []byte) bool {
	if t := string(tag); t != "SET" && t != "RESET" {
		s.follow.command(tag)
		return false
	}
	e := s.ledger.at(busy)
	if e == nil || len(e.uses) == 0 {
		return false
	}
	u := &e.uses[0]
	e.uses = e.uses[1:]
	s.giving = u.answers
	if !e.followed || s.Doubtful() {
		return false
	}
	for _, one := range u.sets() {
		s.follow.set(one)
	}
	return true
}
