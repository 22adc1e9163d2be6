package conversation

import (
	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// SessionState says what becomes of what clients do to their sessions. In session mode it says nothing: there each client keeps its
// backend.
type SessionState uint8

// The policies.
const (
	StateFollows SessionState = iota // settings follow the client, and what cannot follow keeps the backend
	StateRefused                     // a statement whose text says that it changes the session is refused
	StateIgnored                     // no backend is kept: what a client does to its session is left there, but for reported settings
)

func (p SessionState) String() string { return [...]string{"follow", "reject", "ignore"}[p] }

// Functions are those of which the operator has said what they do.
type Functions = sqlscan.Functions

// Full is why no more backends may be kept: as many as may be are, for this long and by these.
type Full struct {
	Pool   string
	Max    int
	Oldest pgerror.Pin
}

// stateful are the effects that the texts of statements show, by what users call them, which change the session. RESET, DISCARD and
// UNLISTEN take changes back. DO, CALL and what cannot be read may do anything or nothing: they are carried out, and what they have
// left keeps the backend as under StateFollows.
var stateful = [...]struct {
	effects sqlscan.Effects
	name    string
}{
	{sqlscan.Set, "SET"},
	{sqlscan.SetConfig, "set_config"},
	{sqlscan.Listen, "LISTEN"},
	{sqlscan.Temp, "a temporary object"},
	{sqlscan.AdvisoryLock, "a session-level advisory lock"},
	{sqlscan.HoldCursor, "a cursor WITH HOLD"},
	{sqlscan.Prepare, "PREPARE"},
	{sqlscan.Load, "LOAD"},
	{sqlscan.Setseed, "setseed"},
	{sqlscan.Process, "a function that leaves state in the server's process"},
}

// keeping are those of them that always keep the backend.
const keeping = sqlscan.Temp | sqlscan.AdvisoryLock | sqlscan.HoldCursor | sqlscan.Prepare | sqlscan.Load | sqlscan.Setseed | sqlscan.Process

// objection is the error that a text gets which this pool does not carry out; nil: it does.
func (s *Server) objection(text []byte, e sqlscan.Effects) *pgerror.Error {
	h := s.shared
	switch {
	case h.Mode == Session:
	case s.account.Status() == wire.TxFailed && s.account.Due() == 0: // the server refuses it
	case h.State == StateRefused:
		for _, kind := range stateful {
			if e&kind.effects != 0 {
				return pgerror.SessionStateRefused(kind.name, string(begins(text)))
			}
		}
	case h.Full != nil && e&keeping != 0 && s.Pins() == 0 && h.State == StateFollows:
		full, is := h.Full()
		if !is {
			return nil
		}
		return pgerror.TooManyPinned(full.Pool, full.Max, string(begins(text)), full.Oldest)
	}
	return nil
}

// unshared is objection for a statement that a client prepares by name and that is not shared: it keeps the backend.
func (s *Server) unshared(text []byte) *pgerror.Error {
	if s.shared.State == StateRefused && s.shared.Mode != Session {
		return pgerror.SessionStateRefused("a named prepared statement", string(begins(text)))
	}
	return s.objection(text, sqlscan.Prepare)
}

// objects refuses a Parse that this pool does not carry out, and reports that.
func (s *Server) objects(f *Flow, m *message, name, text []byte) bool {
	var err *pgerror.Error
	switch {
	case len(name) > 0 && !s.shared.Shares, len(name) > longName:
		err = s.unshared(text)
	case m.whole:
		err = s.objection(text, s.read(text))
	}
	if err != nil {
		s.refuse(f, m, err)
	}
	return err != nil
}

// choosy reports whether objection may have any.
func (s *Server) choosy() bool { return s.shared.State == StateRefused || s.shared.Full != nil }

// refuseQuery is refuse for a Query or a FunctionCall. In its place goes a Query: where messages before it fail, the server throws it away like what it
// stands for.
func (s *Server) refuseQuery(f *Flow, m *message, err *pgerror.Error) {
	f.upTo(m.at)
	f.out = wire.AppendQuery(f.out, strayQuery)
	f.replaced(m.end())
	s.client.drop = !m.whole
	s.book.Query(&s.account, &s.client.names)
	s.enterRefusal(err)
}

// ignored reports whether no state keeps a backend.
func (s *Server) ignored() bool { return s.shared.State == StateIgnored && s.shared.Mode != Session }

// reportedOnly leaves of what was set what the server reports: that follows even where state is ignored, as the client knows it.
func (s *Server) reportedOnly(uses []sqlscan.SettingUse) []sqlscan.SettingUse {
	kept := uses[:0]
	for _, u := range uses {
		if u.Kind != sqlscan.ResetAll && reported(s.params, u.Name) {
			kept = append(kept, u)
		}
	}
	return kept
}

// StatementStart is how much of a statement is remembered that has pinned its backend.
const StatementStart = 80

// begins is the beginning of a text.
func begins(text []byte) []byte { return text[:min(len(text), StatementStart)] }

// suspicion remembers which statements may pin a backend, until it is known whether they have.
type suspicion struct {
	sent []suspect
	by   string // began the statement that has pinned it; "" if that is not known, or nothing has
}

type suspect struct {
	at   uint64 // the number of its answer in the account, or of that before
	text string
}

// forget ends all suspicions. The room for them stays.
func (x *suspicion) forget() {
	clear(x.sent)
	*x = suspicion{sent: x.sent[:0]}
}

// suspicionMax bounds what is remembered of a pipeline.
const suspicionMax = 16

// suspects takes note of a text that is about to be run. Those that pin nothing cost nothing.
func (s *Server) suspects(text []byte, e sqlscan.Effects) {
	if len(text) == 0 || session.FromEffects(e) == 0 || s.pins != 0 && s.suspicion.by != "" || len(s.suspicion.sent) >= suspicionMax {
		return
	}
	s.suspicion.by = ""
	s.suspicion.sent = append(s.suspicion.sent, suspect{s.account.Asked(), string(begins(text))})
}

// caught takes note that the statement with that answer has pinned the backend.
func (s *Server) caught(at uint64) {
	if s.suspicion.by != "" {
		return
	}
	for _, x := range s.suspicion.sent {
		if x.at <= at {
			s.suspicion.by = x.text
		}
	}
}

// blames notes which statement has been found to leave what pins the backend, where no text has shown it.
func (s *Server) blames(found *record) {
	if s.suspicion.by == "" {
		s.suspicion.by = string(begins([]byte(found.text)))
	}
}

// cleared ends the suspicions, when nothing is due and no transaction is open.
func (s *Server) cleared() {
	if s.ignored() {
		s.unquestioned()
		s.worn = false
	}
	x := &s.suspicion
	by, n := x.by, len(x.sent)
	switch {
	case by == "" && n == 0:
		return
	case s.pins == 0:
		by = ""
	case by == "":
		by = x.sent[n-1].text
	}
	x.forget()
	x.by = by
}

// PinnedBy is how the statement began that has pinned the backend; "" if that is not known.
func (s *Server) PinnedBy() string { return s.suspicion.by }

// vouched reports whether a command was a CALL of which the operator says that it leaves nothing.
func vouched(e sqlscan.Effects, tag []byte) bool {
	return e&sqlscan.CleanCall != 0 && session.FromEffects(e) == 0 && string(tag) == "CALL"
}

// Reconfigure gives the pool other rules.
func (h *Shared) Reconfigure(r Rules) {
	if r.Functions != h.Functions {
		h.verdicts = nil
		h.Renew()
		h.Statements.Forget() // texts that are prepared from now on are read anew
	}
	h.Rules = r
}

// readText is the function of that name, with what the operator has said of functions.
func (h *Shared) readText(text []byte, mode sqlscan.Mode) sqlscan.Effects {
	return h.Functions.Effects(text, mode, readText(text, mode))
}

// check judges a header. What the operator does not let through is found once there is a server.
func (c *Client) check(s *Server, fr wire.Frame) wire.Verdict {
	verdict := fr.CheckClient()
	switch {
	case verdict != wire.FrameOK || s == nil:
		return verdict
	case s.shared.PacketMax > 0 && fr.Total() > s.shared.PacketMax:
		return wire.FrameBeyond
	case s.shared.NoSimple && fr.Type == wire.ClientQuery:
		return wire.FrameUnwanted
	}
	return wire.FrameOK
}
