package conversation

import (
	"weir/proxy/exchange"
	"weir/proxy/wire"
)

// Fate is what becomes of a backend that a client has, or has left.
type Fate uint8

// The fates of a backend that a client has.
const (
	Stays        Fate = iota // with its client
	Leaves                   // its client: nothing is due, and nothing of the session must stay
	Probed                   // whether anything is due
	Questioned               // what state its session is in, with Ask
	Refitted                 // to its client's settings, with a Switch: a batch that they went ahead of has failed
	Restored                 // to its client's settings, which a DISCARD ALL has taken back
	Recalled                 // whose values of sequences it has, with Recall
	Forbidden                // the client has opened a transaction where the pool's mode has none
	TakesOn                  // it is to listen for its client, with a TakeOn
	AsksChannels             // it is asked what it listens to, with a Channels
	HandsOver                // the listener connection is to listen to its Channels, and it sends a mark then, with a HandOver
	Unlistens                // it is to listen to nothing, with an Unlisten
)

// Asks reports whether the server is sent something of weir's own.
func (f Fate) Asks() bool { return f != Stays && f != Leaves && f != Forbidden }

func (f Fate) String() string {
	return [...]string{
		"stays", "leaves", "probed", "questioned", "refitted", "restored", "recalled", "forbidden", "takes on", "asks channels", "hands over", "unlistens",
	}[f]
}

// Fate says what becomes of the backend, which has a client.
func (s *Server) Fate() Fate {
	c := s.client
	switch {
	case s.plain(c) && !s.audits() && s.pins == 0:
		return Leaves
	case s.errand != nil || !s.account.Settled():
		return Stays
	case s.Doubtful():
		if s.probing || c.skip > 0 || s.account.Taint() != exchange.Doubt {
			return Stays // a PostgreSQL 18 with a Query after an Execute would fail at a question, whatever it is
		}
		return Probed
	}
	if s.account.Free() && c.skip == 0 {
		if fate := s.freeFate(c); fate != Stays {
			return fate
		}
	}
	switch {
	case s.recallDue():
		return Recalled
	case s.shared.Mode == Statement && s.account.Status() != wire.TxIdle:
		return Forbidden
	}
	return Stays
}

// freeFate is Fate for a backend that is free, between two messages of its client.
func (s *Server) freeFate(c *Client) Fate {
	switch {
	case s.leak == nil && s.questioned():
		if s.ahead.unfit() { // the answer would be taken for what the client has set
			return Refitted
		}
		return Questioned
	case s.set != c.Set && !s.ahead.unfit():
		return Restored
	}
	if fate := s.listenFate(c); fate != Stays {
		return fate
	}
	if s.mayLeave(c) {
		return Leaves
	}
	return Stays
}

// plain reports that a backend is free and nothing that could keep it with its client has come up: the cases below would all be passed.
// Nearly all transactions end so.
func (s *Server) plain(c *Client) bool {
	return s.account.Free() && s.account.Taint() == 0 && s.errand == nil && s.leak == nil && s.pins == 0 && s.set == c.Set &&
		c.skip == 0 && c.hold == HoldNone && !c.toSync && c.Sub == nil && !c.names.Owns() &&
		s.withheld.owed == 0 && s.shared.Mode != Session && s.shared.State != StateIgnored
}

// mayLeave reports whether a backend that is free may leave its client, which is between two messages.
func (s *Server) mayLeave(c *Client) bool {
	return s.Pins() == 0 && s.withheld.owed == 0 && s.listenLets(c) && s.shared.Mode != Session && c.hold == HoldNone && !c.toSync
}

// Said reports whether a client that sends no more has had all that it can get, as far as that is known. Where the account is in doubt more may be due
// than is known, up to the end of a probe, or less.
func (s *Server) Said() bool {
	return !s.account.Comes() && !s.probing || s.account.Copying() == exchange.CopyIn
}

// Cleaning is what a backend without a client needs before another may have it.
type Cleaning uint8

// The cleanings.
const (
	CleanNothing  Cleaning = iota // it is fit for any client
	CleanAnswers                  // what is still due has to come first, and is thrown away
	CleanSync                     // the same, once it has been sent a Sync, which AppendSync does
	CleanRollback                 // an Errand: the transaction is ended
	CleanReset                    // an Errand: the session is made as after a login
	CleanAsk                      // an Errand: what state its session is in
	CleanRetire                   // nothing helps: it must be closed
)

// Holds reports whether the backend owes nothing and lives on: whatever comes next is not its last client's.
func (c Cleaning) Holds() bool { return c != CleanAnswers && c != CleanSync && c != CleanRetire }

func (c Cleaning) String() string {
	return [...]string{"nothing", "answers", "sync", "rollback", "reset", "ask", "retire"}[c]
}

// Orphan is Part for a client that leaves with things due, and says what the backend needs then.
func (s *Server) Orphan() Cleaning {
	half := s.client != nil && s.client.Amid()
	s.Part()
	if half || s.account.Unended() {
		return CleanRetire
	}
	return s.Cleaning()
}

// Cleaning says what a backend without a client needs next.
func (s *Server) Cleaning() Cleaning {
	switch {
	case s.errand != nil:
		return CleanAnswers
	case s.account.Taint() != 0, s.wantsData(), s.account.Unended():
		return CleanRetire // a COPY waits for data that only its client could send, or has swallowed the Sync
	case s.worn, s.leak != nil:
		return CleanRetire // what it has got nothing takes back, or nobody knows what it has
	case s.account.Skipping():
		return CleanSync
	case !s.account.Settled():
		return CleanAnswers
	case s.account.Status() != wire.TxIdle:
		return CleanRollback
	case s.shared.Mode != Session && s.audits():
		return CleanAsk
	case s.pins != 0:
		return CleanReset
	case s.question.unnamed && s.shared.Mode != Session:
		return CleanReset
	case (s.shared.Mode == Session || s.shared.ResetAlways) && s.sent && s.shared.ResetQuery != "":
		return CleanReset
	}
	return CleanNothing
}

// wantsData reports that the server waits for COPY data, which only its client could send.
func (s *Server) wantsData() bool {
	return s.account.Copying() == exchange.CopyIn || s.account.Copying() == exchange.CopyBoth
}

// AppendSync appends the Sync that a client that is gone would have had to send.
func (s *Server) AppendSync(dst []byte) []byte {
	s.account.Client(wire.ClientSync)
	return wire.AppendSync(dst)
}
