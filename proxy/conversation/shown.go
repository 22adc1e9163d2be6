package conversation

import (
	"slices"
	"strconv"

	"weir/proxy/ascii"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// shown exchanges the client's settings for the same in a server's own spelling, where that is known.
func (c *Client) shown(table *session.Table) {
	if as := c.Set.As(); as != nil {
		table.Retain(as)
		table.Release(c.Set)
		c.Set = as
	}
}

// learnsSpelling reports whether the answer to a switch shows something new. Once the client's settings are known there is nothing to learn.
func (s *Server) learnsSpelling() bool {
	return s.client != nil && !s.client.Set.Shown() && s.set.Shown()
}

// switchedTo keeps the row with which a server has answered a switch.
func (s *Server) switchedTo(row []byte) {
	if s.learnsSpelling() {
		s.row = append([]byte(nil), row...)
	}
}

// shows learns from the answer to a switch how the server spells the client's settings: 8192 is 8MB. What it answers later can then be
// compared with them.
func (s *Server) shows() {
	if !s.learnsSpelling() {
		return
	}
	set := s.client.Set
	values, err := wire.PeekRow(s.row)
	names := session.SwitchNames(s.set, set)
	if err != nil || len(values) != len(names) {
		return
	}
	as := slices.Clone(set.Settings())
	for i, name := range names {
		at := slices.IndexFunc(as, func(o session.Setting) bool { return o.Name == name })
		if at < 0 || name == authorization {
			continue // it was reset, or only tried
		}
		value := string(values[i])
		if !session.ShowsSwitched(as[at]) || !ascii.Only(value) || imprecise(as[at].Value, value) {
			return
		}
		as[at].Value = value
	}
	shown, err := s.shared.Settings.Intern(as)
	if err != nil {
		return
	}
	shown.MarkShown()
	s.shared.Settings.Spell(set, shown)
	s.shared.Settings.Release(shown)
	s.client.shown(s.shared.Settings)
}

// imprecise reports whether a server shows a number with fewer digits than it was given.
func imprecise(given, shown string) bool {
	a, err := strconv.ParseFloat(given, 64)
	b, err2 := strconv.ParseFloat(shown, 64)
	return err == nil && err2 == nil && a != b
}

// reportedAlways are the parameters that a server reports and that no client sets, or not by their name.
var reportedAlways = []string{hotStandby, "integer_datetimes", "is_superuser", "server_encoding", "server_version"}

// explain looks, once a transaction is over in which a parameter has changed, whether what is known of the settings explains it. If not, the
// backend is asked.
func (s *Server) explain(status wire.TxStatus) {
	if !s.reported || status != wire.TxIdle || s.shared.Mode == Session {
		return
	}
	s.reported = false
	unexplained := false
	for _, p := range s.params {
		if slices.Contains(reportedAlways, p.Name) {
			continue
		}
		name := p.Name
		if name == authorization {
			name = session.Authorization
		}
		if value, set := s.set.Value(name); set && value == p.Value {
			continue
		} else if login, has := valueOf(s.login, p.Name); !set && has && login == p.Value {
			continue
		}
		unexplained = true
		if session.Meaningful(p.Name) {
			s.book.ReadElsewhere() // what the client has had prepared before it was heard of
		}
	}
	if unexplained {
		s.doubtSettings(nil)
	}
}

// relogin takes note, after an answer about all settings, of what the parameters are that no session has set: they are what a login gives
// now.
func (s *Server) relogin() {
	var login []session.Setting
	for i, p := range s.login {
		if p.Name == authorization || slices.Contains(reportedAlways, p.Name) {
			continue // who the session is no reload changes
		}
		now, has := valueOf(s.params, p.Name)
		if _, set := s.set.Value(p.Name); has && !set && now != p.Value {
			if login == nil {
				login = slices.Clone(s.login)
			}
			login[i].Value = now
		}
	}
	if login != nil {
		s.login = login
	}
}
