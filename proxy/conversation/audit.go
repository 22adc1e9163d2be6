package conversation

import (
	"slices"
	"time"

	"weir/proxy/prepared"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// Audit says after which statements that read as harmless a backend is asked all the same what state its session is in: a function, a view
// or a trigger may do what no text shows.
type Audit uint8

// The audits.
const (
	AuditOff    Audit = iota // after none
	AuditLearn               // after the first runs of each statement, after those that were found to leave state, and now and then
	AuditAlways              // after each transaction
)

func (a Audit) String() string { return [...]string{"off", "learn", "always"}[a] }

// record is what is known of a statement, whatever its literals.
type record struct {
	clean  uint8  // runs after which the session was as before
	hazy   uint8  // runs in hazy transactions, after which no more was found: see hazy
	leaves bool   // it was found to leave state
	wide   bool   // and so much of it that it is asked after everything
	left   uint8  // runs since it was last asked after everything
	shapes uint8  // that have been made familiar
	text   string // its first bytes

	forgotten bool // it is no more among those that are known
	kept      kept // by keepers that it calls

	pins  session.Pins // what it was found to leave
	names []string     // of the settings that it was found to change
}

// The numbers of an audit.
const (
	cleanEnough  = 3    // clean runs after which a statement is trusted
	hazyEnough   = 8    // hazy runs after which another hazy one is no reason to ask
	recordsMax   = 4096 // statements that are known of a pool; of more, some are forgotten and learnt anew
	recordText   = 200  // bytes of a statement that are kept for the log
	suspectsMax  = 8    // statements of one transaction that are told apart
	sampleEvery  = 4096 // transactions between two samples
	wideEvery    = 32   // runs of a statement that leaves state after which it is asked whether that is all
	leftNamesMax = 8    // settings that are told apart of what a statement leaves
)

// The budget: asking takes at most a hundredth of the time that transactions take, once what is there at the start is used up.
const (
	budgetShare   = 100
	budgetStart   = int64(5 * time.Second) // and never more
	budgetSamples = int64(time.Second)     // what samples leave to statements that are new
)

// records are what is known of a pool's statements, and what asking about them may cost.
type records struct {
	known  map[uint64]*record
	recent [recentRecords]struct { // of those, which prepared statements have run last, by the last bits of their numbers
		print uint64
		known *record
	}
	familiar familiar
	spent    int64 // nanoseconds by which the budget is diminished
	sample   int   // transactions since the last sample
}

// recentRecords is a power of two.
const recentRecords = 64

// Asked counts what backends were asked, and what came of it.
type Asked struct {
	Questions uint64
	Refused   uint64 // that the server has refused to answer
	Unasked   uint64 // transactions with statements that are not known yet after which there was no budget to ask
	Left      uint64 // statements that were found to leave state
	Leaks     map[string]uint64
}

// Renew forgets what is known of statements and of the database's functions: the same texts mean others from now on.
func (h *Shared) Renew() {
	clear(h.records.known)
	clear(h.records.recent[:])
	h.records.familiar.forget()
	h.customs.known = false
}

// Earn adds the time of a transaction to the budget for asking.
func (h *Shared) Earn(d time.Duration) {
	h.records.spent = max(h.records.spent-int64(d)/budgetShare, 0)
}

// Spend takes the time of a question from it.
func (h *Shared) Spend(d time.Duration) { h.records.spent += int64(d) }

// affords reports whether there is more than reserve for asking.
func (h *records) affords(reserve int64) bool { return budgetStart-h.spent > reserve }

// recordOf returns what is known of a statement.
func recordOf[T string | []byte](h *Shared, print uint64, text T, mode sqlscan.Mode) *record {
	if b := h.records.known[print]; b != nil {
		return b
	}
	if h.records.known == nil {
		h.records.known = map[uint64]*record{}
	}
	if len(h.records.known) >= recordsMax {
		h.records.makeRoom()
	}
	b := &record{text: string(text[:min(len(text), recordText)]), kept: h.leftBy([]byte(text), mode)}
	h.records.known[print] = b
	return b
}

// makeRoom forgets a statement, one that leaves state only if there are many of them.
func (h *records) makeRoom() {
	tries := 0
	for print, b := range h.known {
		if tries++; !b.leaves || tries > suspectsMax {
			b.forgotten = true
			delete(h.known, print)
			return
		}
	}
}

// audit is what a backend's client has run that it may have to be asked about.
type audit struct {
	suspects []*record  // that are not trusted: first those that were run, then those that were only bound
	executed int        // how many of them were run
	ran      [4]*record // the last that are trusted, for samples
	runs     uint8      // how many of those there are, and where the next one goes
	many     bool       // there were more suspects
	some     bool       // anything was run at all
	failed   bool       // an error came
	sampled  bool       // the question is a sample
	due      bool       // it has been decided to ask
	relearnt uint32     // Relearns of the pool when the first was run
}

// lastRan are the last trusted statements that were run, in no order.
func (a *audit) lastRan() []*record { return a.ran[:min(a.runs, 4)] }

// forget begins anew.
func (a *audit) forget() {
	if a.some || a.failed {
		*a = audit{suspects: a.suspects[:0]}
	}
}

// runsText notes that the client sends a text that reads as if it did no more than e, and returns what is known of its statement; nil:
// nothing is learnt of it.
func (s *Server) runsText(text []byte, e sqlscan.Effects) *record {
	if e&sqlscan.Execute != 0 && s.learns(e&^anything) {
		s.executes(text, s.runs)
	}
	if !s.learns(e) {
		return nil
	}
	b := recordOf(s.shared, sqlscan.Identify(text, s.mode), text, s.mode)
	s.unlooked(unreadText{text: text})
	if b.kept.runsTexts() {
		s.keepsRun(text)
	}
	s.runs(b)
	return b
}

// runsStatement notes that the client runs a prepared statement.
func (s *Server) runsStatement(statement *prepared.Statement, e sqlscan.Effects) {
	if s.learns(e) {
		s.runs(s.shared.recordOf(statement, s.mode))
	}
}

// recordOf returns what is known of a prepared statement.
func (h *Shared) recordOf(statement *prepared.Statement, mode sqlscan.Mode) *record {
	print := statement.Fingerprint()
	recent := &h.records.recent[print%recentRecords]
	if recent.print != print || recent.known == nil || recent.known.forgotten {
		recent.print, recent.known = print, recordOf(h, print, statement.Text(), mode)
	}
	return recent.known
}

// trusted reports whether nothing is asked after the statement but by samples.
func (b *record) trusted() bool { return !b.leaves && b.clean >= cleanEnough }

func (s *Server) learns(e sqlscan.Effects) bool {
	return s.shared.Audit != AuditOff && s.shared.Mode != Session && !s.ignored() && e&anything == 0 && !s.account.Skipping()
}

// runs notes that the client runs a statement.
func (s *Server) runs(b *record) {
	a := &s.audit
	s.meets(b)
	switch at := slices.Index(a.suspects, b); {
	case at >= a.executed:
		a.suspects[at], a.suspects[a.executed] = a.suspects[a.executed], b
		a.executed++
	case at < 0 && b.trusted() && !b.kept.runsTexts():
		a.ran[a.runs%4] = b
		if a.runs++; a.runs == 8 { // four are known, and the next comes in the place of the first
			a.runs = 4
		}
	}
}

// binds notes that the client binds a prepared statement. The server makes its plan then, and looks at the parameters: functions are called for
// that whether it is run or not, but the others are not, so it teaches nothing about what it leaves.
func (s *Server) binds(b *record) {
	if !b.trusted() || b.kept.some() {
		s.meets(b)
	}
}

// meets notes what a statement may leave that the client binds or runs.
func (s *Server) meets(b *record) {
	a := &s.audit
	if !a.some {
		a.some, a.relearnt = true, s.shared.relearnt
	}
	if b.kept.some() {
		s.keeps(&b.kept)
	}
	switch {
	case b.kept.runsTexts(): // it is asked after everything each time
		return
	case b.trusted():
		return
	case slices.Contains(a.suspects, b):
	case len(a.suspects) < suspectsMax:
		a.suspects = append(a.suspects, b)
	default:
		a.many = true
	}
	if b.leaves {
		s.alterScope()
	}
}

// anything are the effects of texts after which a backend is asked about everything anyway.
const anything = sqlscan.Do | sqlscan.Call | sqlscan.Opaque

// givenTexts are those of them whose texts may run the parameters of a Bind.
const givenTexts = sqlscan.Call | sqlscan.Opaque

// audits reports whether the statements that were run are a reason to ask, now that their transaction is over.
func (s *Server) audits() bool {
	a := &s.audit
	a.many = a.many || a.some && a.relearnt != s.shared.relearnt // what was trusted when it was sent may have run as something else
	switch {
	case !a.some || a.due:
		return a.due
	case s.shared.Audit == AuditLearn && len(a.suspects) == 0 && !a.many && s.pins == 0 && !s.samples():
		a.forget() // all are trusted
		return false
	}
	switch s.shared.Audit {
	case AuditOff:
	case AuditAlways:
		a.due = true
	case AuditLearn:
		if s.narrow() {
			a.forget()
			return false
		}
		a.due = a.sampled || a.many || s.suspicious() || s.mayHaveEnded() || s.samples()
	}
	if !a.due {
		a.forget()
		return false
	}
	s.question.unnamed = s.question.unnamed || !a.sampled
	return true
}

// narrow has no more asked than what the statements are known to leave, where all that are not trusted are known so well.
func (s *Server) narrow() bool {
	a := &s.audit
	for _, b := range a.suspects {
		if b.left++; !b.leaves || b.wide || b.left >= wideEvery {
			return false
		}
	}
	if len(a.suspects) == 0 || a.many {
		return false
	}
	for _, b := range a.suspects {
		s.doubt(b.pins)
		if len(b.names) > 0 {
			s.doubtSettings(b.names)
		}
	}
	return true
}

// suspicious reports whether one of the statements is a reason to ask, and whether that can be afforded.
func (s *Server) suspicious() bool {
	a := &s.audit
	unknown := false
	for _, b := range a.suspects {
		if b.leaves {
			return true
		}
		unknown = unknown || !s.hazy() || b.hazy < hazyEnough
	}
	if unknown && !s.shared.records.affords(0) {
		s.shared.Asked.Unasked++
		return false
	}
	return unknown
}

// hazy reports whether an answer does not show all that the statements may leave otherwise: an error has undone it, or the session has other state, of
// which it is not told whose it is.
func (s *Server) hazy() bool { return s.audit.failed || s.pins&askable != 0 }

// mayHaveEnded reports whether it is time to ask whether a pin holds still: a function may have ended it. The pauses become longer.
func (s *Server) mayHaveEnded() bool {
	q := &s.question
	if s.pins&askable == 0 {
		return false
	}
	if q.pause--; q.pause > 0 {
		return false
	}
	q.pauses = min(max(2*q.pauses, 1), pauseMax)
	q.pause = q.pauses
	return true
}

// pauseMax is the longest pause between two questions whether a pin holds, in transactions.
const pauseMax = 64

// samples reports whether it is time for a sample. What it finds must be new, so a pinned backend gives none.
func (s *Server) samples() bool {
	h := &s.shared.records
	if h.sample++; h.sample < sampleEvery || s.pins != 0 || !h.affords(budgetSamples) {
		return false
	}
	h.sample, s.audit.sampled = 0, true
	return true
}

// audited learns from an answer about everything: pins that came, and what became of the settings, so far as reading has not explained it.
func (s *Server) audited(news session.Pins, changed change, names []string) {
	a := &s.audit
	defer a.forget()
	switch {
	case news != 0 || changed >= settingsChanged:
		s.learnLeaving(news, changed == settingsUncarried, names)
	case changed == settingsSame:
		for _, b := range a.suspects[:a.executed] {
			b.left = 0
			if s.hazy() {
				b.hazy = min(b.hazy+1, hazyEnough)
			} else if !b.leaves {
				b.clean++
			}
		}
	}
}

// learnLeaving is for state that one of the statements has left. Which one nobody can tell.
func (s *Server) learnLeaving(pins session.Pins, wide bool, names []string) {
	a := &s.audit
	news := len(a.suspects) == 0
	for _, b := range a.suspects {
		s.blames(b)
		if b.leaveMore(pins, wide, names) {
			s.shared.Asked.Left++
			news = true
		}
	}
	for _, b := range a.lastRan() {
		b.clean = 0
	}
	if news && (wide || slices.ContainsFunc(names, session.Meaningful)) {
		s.shared.Statements.Forget() // what was parsed meanwhile may have been read under settings that nobody knew of
	}
}

// leaveMore adds to what the statement is known to leave, and reports whether it was not known to leave any.
func (b *record) leaveMore(pins session.Pins, wide bool, names []string) (news bool) {
	news = !b.leaves
	b.leaves, b.left = true, 0
	b.pins |= pins
	for _, name := range names {
		if !slices.Contains(b.names, name) {
			b.names = append(b.names, name)
		}
	}
	b.wide = b.wide || wide || len(b.names) > leftNamesMax
	return news
}

// leaks is for state that a sample has found: others may have seen it. The backend is retired, and the statements are learnt anew.
func (s *Server) leaks(found session.Pins, changed change) {
	a := &s.audit
	if changed >= settingsChanged {
		found |= session.SettingChanged
	}
	leak := Leak{Pins: found}
	for _, b := range a.lastRan() {
		leak.Text = b.text
		b.clean = 0
	}
	s.shared.Asked.note(found)
	s.leak = &leak
	a.forget()
}

// Leak is session state that may have been seen by clients that it does not belong to.
type Leak struct {
	Pins session.Pins
	Text string // the beginning of a statement that may have left it
}

// Leak is what a sample has found on the backend, which has to be closed for it; nil: nothing.
func (s *Server) Leak() *Leak { return s.leak }

// note counts a leak.
func (a *Asked) note(pins session.Pins) {
	if a.Leaks == nil {
		a.Leaks = map[string]uint64{}
	}
	for _, name := range pins.Names() {
		a.Leaks[name]++
	}
}
