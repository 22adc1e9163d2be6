package conversation

import (
	"bytes"

	"weir/proxy/pgerror"
	"weir/proxy/prepared"
)

// longName is the length beyond which a statement's name makes it the backend's own, and not shared: with the name of a portal beside it
// it may be longer than what is looked at of a Bind. What PostgreSQL makes of it, its first 63 bytes, has been seen even so. Describe and
// Close have no such names: the server takes none of more than 10,000 bytes.
const longName = InspectLen / 2

// longBind is the portal's and the statement's name in a Bind in which the latter does not end; nil: it is none, or the portal's name has
// left too little of the other to be seen.
func longBind(m *message) (portal, name []byte) {
	portal, rest, ok := bytes.Cut(m.body, []byte{0})
	if m.whole || !ok || len(rest) < prepared.NameMax || bytes.IndexByte(rest, 0) >= 0 {
		return nil, nil
	}
	return portal, rest
}

// bindLong sends a Bind in which a name does not end.
func (s *Server) bindLong(c *Client, f *Flow, m *message) {
	portal, name := longBind(m)
	switch {
	case s.account.Skipping():
		s.pass(m.f.Type)
	case name == nil:
		s.refuse(f, m, pgerror.PortalNameTooLong(InspectLen))
	case s.shared.Shares && (prepared.Ours(name) || c.names.Statement(prepared.Cut(name)) != nil):
		s.stray(c, f, m)
	default:
		s.portals.bind(prepared.Cut(portal), bound{})
		s.pass(m.f.Type)
	}
}
