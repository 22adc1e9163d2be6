package conversation

import (
	"slices"

	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// parameters are what a server reports, and has reported.
type parameters struct {
	login    []session.Setting // what it reported at its login, or what has become of that
	params   []session.Setting // what it last reported; shared, replaced when a value changes
	mode     sqlscan.Mode      // how it reads text, by that
	changed  bool              // it has values that others do not know of
	reported bool              // one of them has changed while a client had the backend
}

// reportedAtLogin are the parameters of a backend that has just logged in.
func reportedAtLogin(params []session.Setting) parameters {
	return parameters{login: params, params: params, mode: scanMode(params)}
}

// put exchanges a value for another.
func (p *parameters) put(at int, value string) {
	p.params = slices.Clone(p.params)
	p.params[at].Value = value
	p.changed = true
}

// add has a parameter be reported that was not before.
func (p *parameters) add(name, value string) {
	p.params = append(slices.Clone(p.params), session.Setting{Name: name, Value: value})
	p.changed = true
}

// Params are what it last reported, a shared list.
func (s *Server) Params() []session.Setting { return s.params }

// Changed reports, once, whether the backend has reported values that others do not know of.
func (s *Server) Changed() bool {
	was := s.changed
	s.changed = false
	return was
}

// Adopt exchanges the list of what the backend reported for one with the same values.
func (s *Server) Adopt(params []session.Setting) { s.params, s.changed = params, false }

// report takes note of a ParameterStatus. False: it is one too many.
func (s *Server) report(name, value string) bool {
	at := slices.IndexFunc(s.params, func(p session.Setting) bool { return p.Name == name })
	switch {
	case at < 0 && len(s.params) == wire.MaxReported:
		return false
	case at < 0:
		s.add(name, value)
		s.noteReported(name)
	case s.params[at].Value != value:
		s.put(at, value)
		s.noteReported(name)
	}
	if s.client != nil && s.ahead.state < aheadSent && !s.withheld.discarded && (s.errand == nil || s.errand.Tells) {
		s.client.Told = s.params // the message goes on to it
	}
	return true
}

// noteReported takes note that the server has reported another value.
func (s *Server) noteReported(name string) {
	s.role.changed = s.role.changed || name == hotStandby
	s.reported = s.reported || s.client != nil && s.errand == nil
	s.mode = scanMode(s.params)
}

// scanMode tells how a backend that reported params reads the text of statements.
func scanMode(params []session.Setting) sqlscan.Mode {
	var encoding, conforming string
	for _, p := range params {
		switch p.Name {
		case "client_encoding":
			encoding = p.Value
		case "standard_conforming_strings":
			conforming = p.Value
		}
	}
	return sqlscan.ModeOf(encoding, conforming)
}

// Knows reports whether the client was told this very list last.
func (c *Client) Knows(params []session.Setting) bool { return sameList(c.Told, params) }

// AppendNews appends what the backend reports as far as that is not what the client was told last.
func (c *Client) AppendNews(dst []byte, params []session.Setting) []byte {
	for _, now := range params {
		if !slices.Contains(c.Told, now) {
			dst = wire.AppendParameterStatus(dst, now.Name, now.Value)
		}
	}
	c.Told = params
	return dst
}
