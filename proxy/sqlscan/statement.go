package sqlscan

// step is how far a statement has been recognised.
type step uint8

const (
	atStart        step = iota // the next token is the statement's first
	behindSet                  // SET
	behindSetLocal             // SET LOCAL, unless local is a setting's class: SET local.x
	behindSetTx                // SET TRANSACTION or CONSTRAINTS, with the same exception
	behindPrepare              // PREPARE
	behindPrepTx               // PREPARE TRANSACTION, unless that is the statement's name
	behindObject               // ALTER or DROP
	behindCreate               // CREATE
	inBody                     // no more to find from here on, save inside
	inDeclare                  // the body of DECLARE
	inExplain                  // the body of EXPLAIN or CREATE, which may execute a prepared statement
)

// prev is the last token, where that matters to the next.
type prev uint8

const (
	prevAny    prev = iota
	prevInsert      // INSERT or MERGE: the INTO that follows names a table
	prevTemp        // CREATE, CREATE OR REPLACE, INTO, and LOCAL or GLOBAL after them: TEMP may follow
	prevWith        // WITH in a DECLARE

	// Strings that the next one may continue; all that follow are such.
	prevEscape     // E'...'
	prevEscapeLine // E'...' and a line break
	prevBits       // B'...', X'...' and U&'...', which never know escapes
	prevBitsLine   // the same and a line break
)

// callState follows one call of set_config.
type callState uint8

const (
	noCall   callState = iota
	wantOpen           // the name was seen; without a ( it is no call
	inCall             // inside its brackets
)

// thirdArg is what the third argument has been so far.
type thirdArg uint8

const (
	thirdEmpty thirdArg = iota
	thirdTrue           // the one word true
	thirdOther
)

// argMax is the index of the argument that says whether the setting is local.
const argMax = 2

// word takes an unquoted word that is not the prefix of a string.
func (s *Scanner) word(w []byte) {
	// A cut word has at most this much left of it; both ways must agree.
	if len(w) > wordBytesMax {
		w = w[:wordBytesMax]
	}
	kw := lookup(w)
	if kw == kwNone && !s.watchful() {
		s.prev = prevAny
		return
	}
	if s.call != noCall {
		s.argument(kw == kwTrue, 0)
	}
	if s.step < inBody {
		s.head(kw)
	}
	s.prev = s.body(kw)
	s.function(kw)
}

// watchful tells whether every token matters at the moment.
func (s *Scanner) watchful() bool { return s.step < inBody || s.call != noCall }

// name takes the content of a quoted name. A doubled quote in it ends one name
// and begins the next, which can only raise a false alarm.
func (s *Scanner) name(w []byte) {
	if len(w) > wordBytesMax {
		w = w[:wordBytesMax]
	}
	s.token('"')
	if kw := lookupName(w); kw != kwNone {
		s.function(kw)
	}
}

// token takes any other token: a string (as '), a quoted name (as "), a number
// (as 0), or a byte of an operator or punctuation.
func (s *Scanner) token(c byte) {
	s.prev = prevAny
	if c == ';' {
		s.statementEnds()
		return
	}
	if s.call != noCall {
		s.argument(false, c)
	}
	switch s.step {
	case atStart:
		s.step = inBody // an opening bracket; anything else is an error
	case behindSetLocal:
		s.found(SetLocal)
		if c == '.' {
			s.effects |= Set
		}
	case behindSetTx:
		s.found(SetTransaction)
		if c == '.' {
			s.effects |= Set
		}
	case behindPrepTx:
		s.step = inBody
		if c != '\'' {
			s.effects |= Prepare
		}
	case behindSet, behindPrepare, behindObject, behindCreate:
		s.head(kwNone)
	default: // within a statement whose beginning is known
	}
}

// found notes an effect and that the statement has no more to give.
func (s *Scanner) found(e Effects) {
	s.effects |= e
	s.step = inBody
}

// head takes a word while the statement's beginning is being recognised.
func (s *Scanner) head(kw keyword) {
	switch s.step {
	case atStart:
		s.first(kw)
	case behindSet:
		switch kw {
		case kwLocal:
			s.step = behindSetLocal
		case kwTransaction, kwConstraints:
			s.step = behindSetTx
		default:
			s.found(Set)
		}
	case behindSetLocal:
		s.found(SetLocal)
	case behindSetTx:
		s.found(SetTransaction)
	case behindPrepare:
		if kw == kwTransaction {
			s.step = behindPrepTx
		} else {
			s.found(Prepare)
		}
	case behindPrepTx:
		s.found(Prepare) // PREPARE transaction AS ...: a statement of that name
	case behindObject:
		s.step = inBody
		if kw == kwDatabase {
			s.found(Databases)
		}
	case behindCreate:
		s.step = inExplain
		if kw == kwDatabase {
			s.found(Databases)
		}
	case inBody, inDeclare, inExplain:
	}
}

// first takes a statement's first word.
func (s *Scanner) first(kw keyword) {
	s.step = inBody
	switch kw {
	case kwSet:
		s.step = behindSet
	case kwPrepare:
		s.step = behindPrepare
	case kwDeclare:
		s.step = inDeclare
	case kwExplain:
		s.step = inExplain
	case kwCreate:
		s.step = behindCreate
	case kwAlter, kwDrop:
		s.step = behindObject
	case kwExecute:
		s.effects |= Execute
	case kwReset:
		s.effects |= Reset
	case kwListen:
		s.effects |= Listen
	case kwUnlisten:
		s.effects |= Unlisten
	case kwNotify:
		s.effects |= Notify
	case kwDeallocate:
		s.effects |= Deallocate
	case kwDiscard:
		s.effects |= Discard
	case kwLoad:
		s.effects |= Load
	case kwDo:
		s.effects |= Do
	case kwCall:
		s.effects |= Call
	case kwBegin, kwStart:
		s.effects |= TransactionBlock
	default: // a statement that leaves nothing by its first word
	}
}

// body finds temporary objects and held cursors, and returns what the word is
// to the next.
func (s *Scanner) body(kw keyword) prev {
	switch kw {
	case kwCreate:
		s.creates = true
		return prevTemp
	case kwInsert, kwMerge:
		return prevInsert
	case kwInto:
		if s.prev != prevInsert {
			s.creates = true
			return prevTemp
		}
	case kwOr, kwReplace, kwLocal, kwGlobal:
		if s.prev == prevTemp {
			return prevTemp
		}
	case kwTemp:
		if s.prev == prevTemp {
			s.temporary()
		}
	case kwWith:
		if s.step == inDeclare {
			return prevWith
		}
	case kwUpdate:
		s.updates = true
	case kwExecute:
		if s.step == inExplain {
			s.effects |= Execute
		}
	case kwHold:
		if s.prev == prevWith {
			s.effects |= HoldCursor
		}
	default: // an ordinary word
	}
	return prevAny
}

// function takes a word or a quoted name that may be a function or a schema.
func (s *Scanner) function(kw keyword) {
	switch kw {
	case kwSetConfig:
		if s.call == inCall {
			s.effects |= SetConfig // one inside another: not followed any further
			return
		}
		s.call, s.depth, s.arg, s.third = wantOpen, 0, 0, thirdEmpty
	case kwSetseed:
		s.effects |= Setseed
	case kwSequence:
		s.effects |= Sequences
	case kwAdvisoryLock:
		s.effects |= AdvisoryLock
	case kwAdvisoryUnlock:
		s.effects |= AdvisoryUnlock
	case kwPgTemp:
		s.temporary()
	case kwNotifies:
		s.effects |= Notify
	case kwPgSettings:
		if s.updates { // which sets one, whatever its name
			s.effects |= Opaque
		}
	case kwOpaque:
		s.effects |= Opaque
	case kwProcess:
		s.effects |= Process
	default: // no name that matters
	}
}

// temporary notes that the statement has a temporary object.
func (s *Scanner) temporary() {
	s.effects |= Temp
	s.temp = true
}

// argument takes a token while a call of set_config is followed: the word true,
// or any other token with its byte (0 for a word).
func (s *Scanner) argument(isTrue bool, c byte) {
	if s.call == wantOpen {
		if c == '(' {
			s.call, s.depth = inCall, 1
		} else {
			s.call = noCall
		}
		return
	}
	switch c {
	case '(', '[':
		s.depth++
	case ')', ']':
		if s.depth--; s.depth == 0 {
			s.callEnds()
			return
		}
	case ',':
		if s.depth == 1 {
			if s.arg++; s.arg > argMax {
				s.arg, s.third = argMax, thirdOther
			}
			return
		}
	}
	if s.arg == argMax {
		if isTrue && s.third == thirdEmpty {
			s.third = thirdTrue
		} else {
			s.third = thirdOther
		}
	}
}

// callEnds decides on a call of set_config.
func (s *Scanner) callEnds() {
	if s.third == thirdTrue {
		s.effects |= SetConfigLocal
	} else {
		s.effects |= SetConfig
	}
	s.call = noCall
}

// statementEnds settles a statement at its semicolon or the end of the text.
// One that is cut short is a syntax error; in doubt it counts as whole.
func (s *Scanner) statementEnds() {
	if s.call == inCall {
		s.effects |= SetConfig
	}
	switch s.step {
	case behindSetLocal:
		s.effects |= SetLocal
	case behindSetTx:
		s.effects |= SetTransaction
	case behindPrepTx:
		s.effects |= Prepare
	case behindSet:
		s.effects |= Set
	case behindPrepare:
		s.effects |= Prepare
	default: // its first words have said what there was to say
	}
	if s.creates && !s.temp {
		s.effects |= Creates
	}
	s.call, s.step, s.prev, s.updates, s.creates, s.temp = noCall, atStart, prevAny, false, false, false
}
