package conversation

import (
	"bytes"
	"crypto/rand"
	"strings"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// Errand is what weir asks a backend on its own account, between two of a client's requests or when it has no client. Its answers are
// swallowed. Whoever starts one sees to its deadline: errands take a server a millisecond.
//
// An errand never runs as the last client would: not under its role or search_path (all names are qualified), nor its time limits or
// its defaults for transactions (see guard).
type Errand struct {
	Name  string
	Tells bool // what it changes is reported to the client

	text  func(s *Server, dst []byte) []byte // whole messages
	onRow func(s *Server, row []byte)        // of a DataRow's body; nil: rows are thrown away
	onEnd func(s *Server, status wire.TxStatus, refused bool) Outcome
}

// task is what weir asks a backend on its own account.
type task struct {
	errand  *Errand // nil: nothing
	probing bool    // a probe has been sent, which is the errand once its answer begins
	awaited int     // ReadyForQuerys of the errand that have not come yet
	refused []byte  // the error that it met; nil while it goes well
	row     []byte  // the body of a DataRow that it was answered with
}

// begin makes e, which so many ReadyForQuerys answer, what is under way.
func (t *task) begin(e *Errand, awaited int) {
	t.errand, t.refused, t.awaited = e, nil, awaited
}

// Outcome is how an errand has ended.
type Outcome uint8

// The outcomes.
const (
	OutcomeClean     Outcome = iota // the backend has been cleaned, so far: ask Cleaning
	OutcomeApplied                  // it is in its client's settings
	OutcomeRefused                  // the server has refused the client's settings; Refused says why. The backend is as it was
	OutcomeAnswered                 // nothing is in doubt any more: ask Fate
	OutcomeAsked                    // it is known what state its session is in: ask Fate
	OutcomeListening                // an errand about listening is over: ask Fate
	OutcomeBroken                   // nobody can say what state the backend is in
	OutcomeTold                     // a question of the pool's has been answered
	OutcomeChecked                  // it answers
)

// The errands.
var (
	// Switch applies the settings of the client that waits for it.
	Switch = &Errand{Name: "switch", text: appendSwitch, onRow: (*Server).switchedTo, onEnd: switched}
	// Restore does so for a client whose DISCARD ALL has taken them back. In a session of its own it would have taken everything else
	// back to them.
	Restore = &Errand{Name: "restore", Tells: true, text: appendSwitch, onRow: (*Server).switchedTo, onEnd: switched}
	// Rollback ends the transaction that a client left open.
	Rollback = &Errand{Name: "rollback", text: appendRollback, onEnd: rolledBack}
	// Reset makes the session as after a login.
	Reset = &Errand{Name: "reset", text: appendReset, onEnd: hasReset}
	// Check finds out whether a backend that nobody has used for a while answers still.
	Check = &Errand{Name: "check", text: appendCheck, onEnd: checked}
	// Probe asks whether anything is due. It has to be started with StartProbe.
	Probe = &Errand{Name: "probe", onEnd: answered}
)

// Start begins an errand and returns dst with what is to be sent.
func (s *Server) Start(e *Errand, dst []byte) []byte {
	at := len(dst)
	dst = e.text(s, dst)
	s.task.begin(e, queriesIn(dst[at:]))
	s.retry.named = 0
	s.book.Commanded(s.names())
	return dst
}

// queriesIn counts the Queries among whole messages: each is answered by one ReadyForQuery.
func queriesIn(p []byte) (n int) {
	for len(p) >= wire.HeaderLen {
		f := wire.PeekFrame(p)
		if f.Type == wire.ClientQuery {
			n++
		}
		p = p[f.Total():]
	}
	return n
}

// reads reports whether the errand looks at a message of that type, which must be collected for it.
func (e *Errand) reads(t byte) bool { return e != nil && e.onRow != nil && t == wire.ServerDataRow }

func (e *Errand) row(s *Server, t byte, body []byte) {
	if e.onRow != nil && t == wire.ServerDataRow {
		e.onRow(s, body)
	}
}

// errandReady takes note of a ReadyForQuery that answers an errand.
func (s *Server) errandReady(step *ServerStep, status wire.TxStatus) {
	if s.awaited--; s.awaited > 0 {
		return
	}
	e := s.errand
	s.errand = nil
	step.Event = EventErrand
	step.Outcome = e.onEnd(s, status, s.refused != nil)
}

// Refused is the error that ended the last errand, the body of an ErrorResponse.
func (s *Server) Refused() []byte { return s.refused }

// Stuck reports whether what the server has refused is to give up a setting that it is in, and its client is not: it has taken away the
// setting itself, as it does where a library that is loaded reserves the name. Its words may be in any language; the name is in them.
func (s *Server) Stuck() bool {
	words := wire.PeekErrorField(s.refused, wire.FieldMessage)
	for _, setting := range s.set.Settings() {
		if _, wanted := s.client.Set.Value(setting.Name); !wanted && bytes.Contains(words, []byte(setting.Name)) {
			return true
		}
	}
	return false
}

// guards are the settings of a client under which a command of weir's own must not run: they could end it, make it wait, or make it dear.
var guards = [...]struct{ name, neutral string }{
	{"statement_timeout", "0"},
	{"lock_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"transaction_timeout", "0"},
	{"jit", "off"},
}

// appendSwitch appends the Query that brings the backend from the settings that it is in to its client's. Where those that it is in could
// be in the way, it runs in a transaction of its own, whose modes are not the session's.
func appendSwitch(s *Server, dst []byte) []byte {
	guarded := s.guarded() && s.set != s.client.Set
	s.row = nil
	s.shared.addCustomOf(s.client.Set)
	var space [1024]byte
	sql := space[:0]
	if guarded {
		sql = s.appendGuard(sql) // the modes of a transaction are refused once it has run a command
	}
	sql = s.appendForgets(sql)
	sql = session.AppendSwitch(sql, s.set, s.client.Set)
	if guarded {
		sql = append(sql, ";COMMIT"...)
	}
	return wire.AppendQueryBytes(dst, sql)
}

// opening begins a transaction whose modes are not the session's, and that a standby grants.
const opening = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE;"

// appendGuard begins a transaction in which none of the guards is in force.
func (s *Server) appendGuard(sql []byte) []byte {
	sql = append(sql, opening...)
	for _, g := range guards {
		if _, set := s.set.Value(g.name); set {
			sql = append(append(append(append(append(sql, "SET LOCAL "...), g.name...), " TO "...), g.neutral...), ';')
		}
	}
	return sql
}

// guarded reports whether the backend is in settings under which a command of weir's own must not run.
func (s *Server) guarded() bool {
	for _, setting := range s.set.Settings() {
		if guarding(setting.Name) {
			return true
		}
	}
	return false
}

// transactional reports whether a setting is a default of transactions: one that is serializable and deferrable waits for others.
func transactional(name string) bool { return strings.HasPrefix(name, "default_transaction_") }

func guarding(name string) bool {
	if transactional(name) {
		return true
	}
	for _, g := range guards {
		if name == g.name {
			return true
		}
	}
	return false
}

func switched(s *Server, status wire.TxStatus, refused bool) Outcome {
	switch {
	case refused && status == wire.TxFailed:
		// The block is still open. Nothing has been changed, and a rollback makes that final.
		s.account.Certain(status)
		return OutcomeRefused
	case status != wire.TxIdle:
		return OutcomeBroken
	case refused:
		return OutcomeRefused
	case s.client == nil:
		// It is not known which settings a client that left would have had; a reset does not need to.
		s.pins |= session.SettingChanged
		return OutcomeClean
	}
	s.shows()
	s.forgotten()
	s.apply(s.client.Set)
	s.ahead.state = aheadNone
	return OutcomeApplied
}

func appendRollback(_ *Server, dst []byte) []byte { return wire.AppendQuery(dst, "ROLLBACK") }

func rolledBack(s *Server, status wire.TxStatus, refused bool) Outcome {
	if refused || status != wire.TxIdle {
		return OutcomeBroken
	}
	s.account.Reset()
	s.portals.end()
	s.settleScope()
	s.ended()
	return OutcomeClean
}

// ended forgets what the transaction has set, now that it is rolled back, so that no other client is taken for the one that has set it.
// What lasts of it (COMMIT AND CHAIN) is no client's any more.
func (s *Server) ended() {
	s.follow.command([]byte("ROLLBACK"))
	if len(s.follow.done) > 0 || s.follow.unsure {
		s.pins |= session.SettingChanged
	}
	s.question.blind = s.question.blind || s.block.blind
	s.follow, s.block = follow{}, block{}
}

// emptyQuery is how server_check_query says that the text is empty: PgBouncer's word.
const emptyQuery = "<empty>"

func appendCheck(s *Server, dst []byte) []byte {
	text := s.shared.CheckQuery
	if text == emptyQuery {
		text = ""
	}
	return wire.AppendQuery(dst, text)
}

func checked(_ *Server, status wire.TxStatus, refused bool) Outcome {
	if refused || status != wire.TxIdle {
		return OutcomeBroken
	}
	return OutcomeChecked
}

// discardAll is the only command that takes back all that a client can have changed (manual, "DISCARD").
const discardAll = "DISCARD ALL"

// appendReset appends the commands that make the session new. server_reset_query comes first, where it is something else, because only
// DISCARD ALL is known to leave the settings of the login. The time limits of the last client do not count for either.
func appendReset(s *Server, dst []byte) []byte {
	dst = wire.AppendQuery(dst, "SET statement_timeout TO 0")
	if own := s.shared.ResetQuery; (s.shared.Mode == Session || s.shared.ResetAlways) && own != "" && !isDiscardAll(own) {
		dst = wire.AppendQuery(dst, own)
	}
	if s.resetsAll() {
		return wire.AppendQuery(dst, discardAll)
	}
	sql := "SET SESSION AUTHORIZATION DEFAULT;RESET ALL"
	for _, r := range resets {
		if s.pins&r.pins != 0 {
			sql += r.sql
		}
	}
	return wire.AppendQuery(dst, sql)
}

// resets are the parts of DISCARD ALL that each pin needs. The others leave to the backend the statements that clients share.
var resets = [...]struct {
	pins session.Pins
	sql  string
}{
	{session.HeldCursor, ";CLOSE ALL"},
	{session.Listen, ";UNLISTEN *"},
	{session.AdvisoryLock, ";SELECT pg_catalog.pg_advisory_unlock_all()"},
	{session.TempObject, ";DISCARD TEMP"},
}

// resetsAll reports whether nothing less than DISCARD ALL makes the session new.
func (s *Server) resetsAll() bool {
	const parts = session.SettingChanged | session.HeldCursor | session.Listen | session.AdvisoryLock | session.TempObject
	return s.shared.Mode == Session || s.shared.ResetAlways && s.shared.ResetQuery != "" || s.pins&^parts != 0
}

func isDiscardAll(sql string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(strings.TrimRight(strings.TrimSpace(sql), ";")), " "), discardAll)
}

func hasReset(s *Server, status wire.TxStatus, refused bool) Outcome {
	if refused || status != wire.TxIdle {
		return OutcomeBroken
	}
	s.account.Reset()
	if s.resetsAll() {
		s.book.Deallocated(nil)
		s.recall.owner = noValues
	}
	s.unquestioned()
	s.sent, s.scope.altered, s.scope.private = false, unaltered, ""
	s.apply(nil)
	return OutcomeClean
}

// StartProbe asks a server whose account is in doubt a question whose answer cannot be mistaken. What comes before it is the
// client's; once it has come nothing is due any more, and the doubt is over. Until then the client is not read.
//
// It is needed after a COPY that has failed: which Syncs the COPY has swallowed, and which are answered, the server does not say.
// Several drivers send one such Sync with the Execute of each COPY.
func (s *Server) StartProbe(dst []byte) []byte {
	s.probing = true
	return append(dst, probeRequest...)
}

// Probing reports whether such a question is under way.
func (s *Server) Probing() bool { return s.probing }

// probeTypes are the parameter types of the probe's statement, and so the contents of its ParameterDescription. They are random,
// so that no answer of a client's own looks like it. PostgreSQL does not look up types that no parameter uses
// (exec_parse_message in src/backend/tcop/postgres.c).
var probeTypes = func() (types [8]uint32) {
	var b [len(types)]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range types {
		types[i] = 1<<31 | uint32(i)<<8 | uint32(b[i])
	}
	return types
}()

const probeName = "weir asks whether anything is due"

// probeRequest describes a statement that it prepares and closes. It carries out nothing, so it does no harm in a transaction,
// and that the statement is a ROLLBACK makes the server answer in a failed one, too.
var probeRequest = func() []byte {
	p := wire.AppendParse(nil, probeName, "ROLLBACK", probeTypes[:])
	p = wire.AppendDescribe(p, 'S', probeName)
	p = wire.AppendClose(p, 'S', probeName)
	return wire.AppendSync(p)
}()

// probeAnswer is what follows the ParseComplete.
var probeAnswer = wire.AppendParameterDescription(nil, probeTypes[:])

// meetsProbe looks whether the message at the beginning of p begins the answer to the probe that has been sent. False: p is too short to tell.
func (s *Server) meetsProbe(fr wire.Frame, p []byte) (told bool) {
	n := min(fr.Total(), len(p))
	switch {
	case fr.Type == wire.ServerParseComplete:
		return s.probed(p[n:])
	case s.errand == nil && fr.Type == wire.ServerErrorResponse && !wire.Fatal(p[wire.HeaderLen:n]):
		s.task.begin(Probe, 1) // of the Syncs before it none can fail: nothing is left to commit
	}
	return true
}

// probed looks whether p, which follows a ParseComplete, makes that the beginning of the probe's answer, which is swallowed then. False:
// p is too short to tell. A server may tell how long the Parse took before it goes on (log_duration and client_min_messages).
func (s *Server) probed(p []byte) bool {
	for len(p) > 0 && asynchronous(p[0]) {
		if len(p) < wire.HeaderLen {
			return false
		}
		f := wire.PeekFrame(p)
		if f.CheckServer() != wire.FrameOK || f.Total() > InspectLen {
			return true
		}
		if f.Total() > len(p) {
			return false
		}
		p = p[f.Total():]
	}
	n := min(len(p), len(probeAnswer))
	if s.errand != nil || !bytes.Equal(p[:n], probeAnswer[:n]) {
		return true
	}
	if n < len(probeAnswer) {
		return false
	}
	s.task.begin(Probe, 1)
	return true
}

// asynchronous reports whether a server may send a message of that type at any time.
func asynchronous(t byte) bool {
	return t == wire.ServerNoticeResponse || t == wire.ServerParameterStatus || t == wire.ServerNotification
}

// answered goes on with an account that is exact again. What was under way in doubt may have been done.
func answered(s *Server, status wire.TxStatus, refused bool) Outcome {
	if refused {
		return OutcomeBroken
	}
	s.probing, s.own = false, syncNone
	s.doubt(session.FromError(s.ledger.all()))
	s.question.blind = s.sets(s.ledger.busyWith(0, true)) || s.question.blind
	s.ledger.clear()
	s.book.Abandon(s.names()) // what was still expected was thrown away
	s.account.Certain(status)
	s.settled(status)
	return OutcomeAnswered
}
