package conversation

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// recall is what is known of the values that sequences gave in a backend's session, which currval and lastval tell.
//
// A client must not be told another's values, nor values of its own that it has got newer ones since on another backend. So both sides
// remember whom they had last. Only once a client of the pool has asked for such values are they discarded where backends change hands.
type recall struct {
	number     uint64 // the backend's
	owner      uint64 // the number of the client whose values they are, all of them its last ones; or one of those below
	discarding bool   // the errand under way discards them
	tries      uint8  // errands that have been refused
	claim      claim
	about      string      // the sequences that the claim is about, as SQL: see currvals; empty: any that the transaction has drawn from
	drawn      [][2]string // their names, short and with the schema, if it is about any
}

// Owners that are no client.
const (
	noValues    uint64 = 0          // there are none
	mixedValues uint64 = ^uint64(0) // they may be those of several clients
)

// claim is what a transaction has been found to have to do with mixed values.
type claim uint8

const (
	claimNone  claim = iota // nothing has been asked → claimOwn, claimNever
	claimOwn                // they are such as the transaction has drawn itself → claimNone at the end of the request, which may change what names mean
	claimNever              // nobody can say whose values they are → claimNone at the end of the transaction
)

// Recalls reports whether clients of the pool are known to ask for what sequences gave.
func (h *Shared) Recalls() bool { return h.recalls }

// Recall says that they do, as far as is known elsewhere.
func (h *Shared) Recall() { h.recalls = true }

func (h *Shared) nextNumber() uint64 {
	return h.pool().texts.Number()
}

// leaseSequences notes who has the backend now.
func (s *Server) leaseSequences(c *Client) {
	r := &s.recall
	if c.number == 0 {
		c.number = s.shared.nextNumber()
	}
	if r.owner == noValues || r.owner == c.number && c.ranOn == r.number {
		r.owner = c.number
	} else {
		r.owner = mixedValues
	}
	c.ranOn, r.claim, r.tries = r.number, claimNone, 0
}

// ownsValues notes that the values are none but what the client will get from now on.
func (s *Server) ownsValues() {
	s.recall.owner = noValues
	if s.client != nil {
		s.recall.owner = s.client.number
	}
}

// forgets reports whether the backend must be made to forget its values before its client may go on.
func (s *Server) forgets() bool { return s.shared.recalls && s.recall.owner == mixedValues }

// appendForgets begins the commands of a switch.
func (s *Server) appendForgets(sql []byte) []byte {
	if s.recall.discarding = s.forgets(); s.recall.discarding {
		sql = append(sql, discardSequences+";"...)
	}
	return sql
}

const discardSequences = "DISCARD SEQUENCES"

// forgotten takes note that the switch has succeeded.
func (s *Server) forgotten() {
	if s.recall.discarding {
		s.ownsValues()
	}
	s.recall.discarding = false
}

// recallsOwn reports, for a message that asks for values of sequences, whether it can only find its client's.
func (s *Server) recallsOwn() bool {
	if s.shared.Mode == Session || s.ignored() {
		return true
	}
	s.shared.recalls = true
	return s.recall.owner == s.client.number
}

// recallsLong is for a Query that was too long to be read before it was sent: all but its last bytes have gone. True: it must be spoiled.
func (s *Server) recallsLong(at uint64) bool {
	e := s.ledger.at(at)
	if s.recallsOwn() || e == nil {
		return false
	}
	e.refusal = pgerror.SequencesMixed
	return true
}

// recalls decides on a message that runs what asks for values of sequences. It does not pass where it has to wait, and where it is refused. text is nil
// where it is not known.
func (s *Server) recalls(f *Flow, m *message, text []byte) (hold Hold, passes bool) {
	hold, passes = s.mayRecall(text)
	switch {
	case passes || hold != HoldNone:
	case m.f.Type == wire.ClientQuery || m.f.Type == wire.ClientFunctionCall:
		s.refuseQuery(f, m, pgerror.SequencesMixed)
	default:
		s.refuse(f, m, pgerror.SequencesMixed)
	}
	return hold, passes
}

// recallsLater decides on a message that prepares or binds such a text, which is decided on again when it is run: it is never refused.
func (s *Server) recallsLater(text []byte) Hold {
	hold, _ := s.mayRecall(text)
	return hold
}

// mayRecall reports whether a text that asks for values of sequences can only find its client's, or fails. HoldRecall: the backend has to be asked first.
//
// Amid a transaction the values cannot be discarded, but those that it has drawn itself are right.
func (s *Server) mayRecall(text []byte) (hold Hold, may bool) {
	r := &s.recall
	if s.recallsOwn() {
		return HoldNone, true
	}
	idle := !s.account.Unended()
	about, known := currvals(text)
	switch {
	case idle && s.account.Due() == 0 && s.account.Status() == wire.TxFailed:
		return HoldNone, true
	case r.claim == claimOwn && known && about == r.about:
		return HoldNone, true
	case idle && (r.claim == claimNone || r.claim == claimOwn && known):
		r.claim, r.about = claimNone, about
		return HoldRecall, false
	}
	return HoldNone, false
}

// recallsNamed is recallsLater for a Parse of a statement that clients share; rest is where its text begins in the body.
func (s *Server) recallsNamed(m *message, text []byte, rest int) Hold {
	if s.recall.owner != mixedValues || !m.whole || s.shared.Statements.Has(s.scopeKey(), m.body[rest:]) {
		return HoldNone // the client that has prepared it before has told that the pool recalls values
	}
	if s.read(text)&sqlscan.Sequences == 0 {
		return HoldNone
	}
	return s.recallsLater(text)
}

// recallDue reports whether the backend, which owes nothing, must find out whose values it has.
func (s *Server) recallDue() bool {
	c := s.client
	if c.hold == HoldRecall {
		// Outside of a transaction they can be discarded, whatever one before has been found to have drawn.
		return s.recall.owner != c.number && (s.recall.claim == claimNone || s.account.Free())
	}
	return s.forgets() && s.account.Free() && c.skip == 0
}

// Recall is the errand that has a backend forget the values of others, or amid a transaction find out whether that has drawn one itself.
var Recall = &Errand{Name: "recall", text: appendRecall, onRow: (*Server).recalled, onEnd: hasRecalled}

// drawn are the sequences from which the transaction has drawn: nextval takes a lock on its sequence that lasts as long as the transaction
// (lock_and_open_sequence in src/backend/commands/sequence.c).
const drawn = "SELECT c.oid, c.relname, c.relnamespace FROM pg_catalog.pg_lock_status() AS l, pg_catalog.pg_class AS c WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()" +
	" AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock'" +
	" AND c.oid OPERATOR(pg_catalog.=) l.relation AND c.relkind OPERATOR(pg_catalog.=) 'S'"

// drawnNames are what a text may call them. More than these are none that a parameter names.
const drawnNames = "SELECT d.oid::pg_catalog.regclass, pg_catalog.format('%I.%I', n.nspname, d.relname) FROM (" + drawn + ") AS d, pg_catalog.pg_namespace AS n" +
	" WHERE n.oid OPERATOR(pg_catalog.=) d.relnamespace LIMIT 64"

func appendRecall(s *Server, dst []byte) []byte {
	if s.recall.discarding = s.account.Free(); s.recall.discarding {
		return wire.AppendQuery(dst, discardSequences)
	}
	s.recall.claim, s.recall.drawn = claimNever, nil
	if s.recall.about == "" {
		return wire.AppendQuery(dst, drawnNames)
	}
	return wire.AppendQuery(dst, "SELECT WHERE NOT EXISTS (SELECT FROM pg_catalog.unnest(ARRAY["+s.recall.about+"]) AS t(seq)"+
		" WHERE t.seq IS NULL OR t.seq OPERATOR(pg_catalog.<>) ALL (ARRAY(SELECT d.oid FROM ("+drawn+") AS d)))")
}

// currvals are the sequences that a text names to currval, as a list of SQL expressions. known: all of them are named plainly.
func currvals(text []byte) (list string, known bool) {
	var all []string
	for _, m := range currvalCalls.FindAllSubmatch(text, -1) {
		sequence := "'" + string(m[1]) + "'"
		switch {
		case m[2] != nil:
			sequence = "pg_catalog.pg_get_serial_sequence('" + string(m[2]) + "','" + string(m[3]) + "')"
		case m[1] == nil:
			return "", false
		}
		all = append(all, "pg_catalog.to_regclass("+sequence+")::pg_catalog.oid")
	}
	return strings.Join(all, ","), text != nil
}

// currvalCalls finds each mention of currval, and its argument where that is plain or, in its last group, the number of a parameter. It looks at the bare
// bytes: what stands in a comment or a string can only make it find more.
var currvalCalls = regexp.MustCompile(`(?i)currval(?:"?\s*\(\s*(?:` +
	`(?:'([\w."]+)'|pg_get_serial_sequence\s*\(\s*'([\w."]+)'\s*,\s*'(\w+)'\s*\))\s*(?:::\s*regclass\s*)?` +
	`|\$(\d+)\s*(?:::\s*(?:text|regclass)\s*)*)\))?`)

// recalled takes a row that tells of a sequence.
func (s *Server) recalled(row []byte) {
	s.recall.claim = claimOwn
	if names, err := wire.PeekRow(row); err == nil && len(names) == 2 {
		s.recall.drawn = append(s.recall.drawn, [2]string{string(names[0]), string(names[1])})
	}
}

// recallsBound is recallsLater for a Bind. Where its parameters name to currval what the transaction has drawn from, it is known now that the statement finds
// its own values: the mark is taken from its effects.
func (s *Server) recallsBound(m *message, statement *prepared.Statement) (own bool, hold Hold) {
	if statement == nil || s.recall.owner != mixedValues || statement.Own() || statement.Effects(s.mode)&sqlscan.Sequences == 0 {
		return false, HoldNone
	}
	text := []byte(statement.Text())
	if hold = s.recallsLater(text); hold != HoldNone {
		return false, hold
	}
	return s.drawnByParameters(m, text), HoldNone
}

// drawnByParameters reports whether the transaction has drawn from all sequences that the parameters of a Bind name to currval, and from one at least.
func (s *Server) drawnByParameters(m *message, text []byte) bool {
	r := &s.recall
	if r.claim != claimOwn || r.about != "" || !m.whole {
		return false
	}
	given, err := wire.PeekTexts(m.body)
	if err != nil {
		return false
	}
	for _, call := range currvalCalls.FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(call[4])) // of any other argument it is empty
		if err != nil || n < 1 || n > len(given) {
			return false
		}
		if name := string(given[n-1]); !slices.ContainsFunc(r.drawn, func(d [2]string) bool { return name == d[0] || name == d[1] }) {
			return false
		}
	}
	return true
}

// recallTries is how often the errand may be refused: a cancel request that came late may have hit it.
const recallTries = 3

func hasRecalled(s *Server, status wire.TxStatus, refused bool) Outcome {
	discarding := s.recall.discarding
	s.recall.discarding = false
	switch {
	case discarding != (status == wire.TxIdle):
		return OutcomeBroken
	case refused && discarding:
		if s.recall.tries++; s.recall.tries == recallTries {
			return OutcomeBroken
		}
	case discarding:
		s.ownsValues()
	case refused:
		s.recall.claim = claimNever
		s.account.Certain(status)
	}
	return s.askedOutcome()
}

// endClaim is for the end of a request.
func (r *recall) endClaim(status wire.TxStatus) {
	if r.claim == claimOwn || status == wire.TxIdle {
		r.claim, r.drawn = claimNone, nil
	}
}

// mentionsSequences reports whether one of the functions is named anywhere in a text, in strings, too.
func mentionsSequences(text []byte) bool {
	return mentions(text, "currval") || mentions(text, "lastval")
}

func mentions(text []byte, lower string) bool {
	for i := 0; i+len(lower) <= len(text); i++ {
		if text[i]|0x20 == lower[0] && bytes.EqualFold(text[i:i+len(lower)], []byte(lower)) {
			return true
		}
	}
	return false
}
