package exchange

import (
	"errors"
	"fmt"
	"strings"

	"weir/proxy/wire"
)

// fate is what the simulated server will do with a message of the client: the outcome that a real one would find in the
// message's body.
type fate uint8

const (
	fateOK       fate = iota
	fateError         // it fails before it answers anything
	fateEmpty         // Execute: EmptyQueryResponse; Describe: NoData
	fateSuspend       // Execute: PortalSuspended
	fateBegin         // Query, Execute: the transaction block begins
	fateEnd           // Query, Execute: it ends
	fateTwo           // Query: two statements
	fateIn            // Query, Execute: COPY FROM STDIN
	fateInDoomed      // the same, but the COPY fails before it reads any data
	fateTwoIn         // Query: two COPY FROM STDIN
	fateOut           // Query, Execute: COPY TO STDOUT
	fateBad           // CopyData: the COPY fails at it
	fates
)

var fateNames = [fates]string{"ok", "error", "empty", "suspend", "begin", "end", "two", "in", "in-doomed", "two-in", "out", "bad"}

// request is one message of the client.
type request struct {
	kind  byte
	fate  fate
	ahead bool   // it is weir's own, ahead of the client's
	asks  uint64 // the number that the account gave its completion; 0 if it asks for none
}

// model is PostgreSQL's main loop (PostgresMain, SocketBackend and CopyGetData), deliberately dumb: it reads the client's
// messages in order and answers. It knows nothing of accounts.
type model struct {
	in  []request
	out []string // answers on their way, as scripts write them

	held    int      // the last of them are in its buffer, and no Flush has come
	asks    uint64   // of the message that is being carried out
	answers []uint64 // as out: the number of the message that each answers

	skip     bool // ignores everything up to a Sync
	copies   int  // COPY FROM STDIN under way and, in the same Query, still to come
	extended bool // the COPY was begun by an Execute
	run      bool // messages of the extended protocol were carried out and no Sync has come yet
	executed bool // an Execute among them
	status   wire.TxStatus
	poisoned bool // as PostgreSQL 18 is after a Query behind an Execute
	gone     bool // the server ended the connection
	copyFail bool // a COPY has failed once: the only reason for doubts
}

func (m *model) say(answers ...string) {
	m.out = append(m.out, answers...)
	m.held += len(answers)
	for range answers {
		m.answers = append(m.answers, m.asks)
	}
	if strings.ContainsAny(answers[len(answers)-1][:1], "ZEG") {
		m.held = 0
	}
}

// deliver is the next answer and the number of what it completes; 0 if it completes nothing. A Query is complete with its
// ReadyForQuery.
func (m *model) deliver() (answer string, completes uint64) {
	answer, completes = m.out[0], m.answers[0]
	m.out, m.answers = m.out[1:], m.answers[1:]
	m.held = min(m.held, len(m.out))
	simple := completes&simpleAnswer != 0
	if simple != strings.HasPrefix(answer, "Z") || !simple && !strings.Contains("123nTCIs", answer) {
		return answer, 0
	}
	return answer, completes &^ simpleAnswer
}

// simpleAnswer marks the numbers of Query and FunctionCall.
const simpleAnswer = 1 << 63

func (m *model) ready() {
	m.run, m.executed = false, false
	m.say("Z:" + string(rune(m.status)))
}

// step reads one message.
func (m *model) step() {
	r := m.in[0]
	m.in = m.in[1:]
	if m.copies == 0 { // the command's completion comes behind its data
		m.asks = r.asks
		if r.asks != 0 && (r.kind == wire.ClientQuery || r.kind == wire.ClientFunctionCall) {
			m.asks |= simpleAnswer
		}
	}
	switch {
	case m.copies > 0:
		m.copyData(r)
	case r.kind == wire.ClientSync:
		m.skip = false
		if r.fate == fateError && m.run && m.status == wire.TxIdle {
			m.say("E") // the commit failed
		}
		m.ready()
	case m.skip, r.kind == wire.ClientCopyData, r.kind == wire.ClientCopyDone, r.kind == wire.ClientCopyFail:
	case r.kind == wire.ClientFlush:
		m.held = 0
	case r.kind == wire.ClientQuery, r.kind == wire.ClientFunctionCall:
		m.poisoned = m.poisoned || m.executed
		m.statement(r, false)
	default:
		m.run = true
		m.statement(r, true)
	}
}

// statement carries out what is not a Sync, outside COPY.
func (m *model) statement(r request, extended bool) {
	if r.fate == fateError || m.status == wire.TxFailed && r.fate != fateEnd && r.kind != wire.ClientClose {
		m.fail(extended)
		return
	}
	switch r.kind {
	case wire.ClientParse:
		m.say("1")
	case wire.ClientBind:
		m.say("2")
	case wire.ClientClose:
		m.say("3")
	case wire.ClientDescribe:
		m.say(map[bool]string{true: "n", false: "T"}[r.fate == fateEmpty])
	case wire.ClientFunctionCall:
		m.say("V")
	case wire.ClientExecute:
		m.executed = !r.ahead
		m.execute(r, extended)
		return
	case wire.ClientQuery:
		m.execute(r, extended)
		return
	}
	if !extended {
		m.ready()
	}
}

func (m *model) execute(r request, extended bool) {
	done := "C"
	switch r.fate {
	case fateEmpty:
		done = "I"
	case fateSuspend:
		done = "s"
	case fateBegin:
		m.status = wire.TxActive
	case fateEnd:
		m.status = wire.TxIdle
	case fateTwo:
		m.say("C")
	case fateOut:
		m.say("H", "c")
	case fateIn, fateTwoIn, fateInDoomed:
		m.say("G")
		m.extended = extended
		if r.fate == fateInDoomed {
			m.copyFail = true
			m.fail(extended)
			return
		}
		m.copies = 1
		if r.fate == fateTwoIn {
			m.copies = 2
		}
		return
	}
	m.say(done)
	if !extended {
		m.ready()
	}
}

// fail reports an error: an extended one makes the server ignore all up to a Sync, another is followed by ReadyForQuery.
func (m *model) fail(extended bool) {
	m.copyFail = m.copyFail || m.copies > 0
	m.copies = 0
	if m.status == wire.TxActive {
		m.status = wire.TxFailed
	}
	m.say("E")
	if extended {
		m.skip, m.run, m.executed = true, false, false
	} else {
		m.ready()
	}
}

// copyData reads a message amid COPY data.
func (m *model) copyData(r request) {
	switch r.kind {
	case wire.ClientCopyData:
		if r.fate == fateBad {
			m.fail(m.extended)
		}
	case wire.ClientSync, wire.ClientFlush: // swallowed
	case wire.ClientCopyFail:
		m.fail(m.extended)
	case wire.ClientCopyDone:
		m.say("C")
		if m.copies--; m.copies > 0 {
			m.say("G")
		} else if !m.extended {
			m.ready()
		}
	default:
		m.say("E")
		m.gone = true
	}
}

// idle reports that the server has answered all that it was sent, and that nothing which it has not read yet will ever be
// answered.
func (m *model) idle() bool {
	for _, r := range m.in {
		switch r.kind {
		case wire.ClientCopyData, wire.ClientCopyDone, wire.ClientCopyFail, wire.ClientFlush:
		default:
			return false
		}
	}
	return len(m.out) == 0 && m.copies == 0 && !m.skip && !m.run
}

// judge says what is wrong with an account of this server, if anything.
func (m *model) judge(x *Exchange) error {
	idle := m.idle()
	switch {
	case m.gone:
	case x.Free() && x.Taint() == 0 && (!idle || m.status != wire.TxIdle || m.poisoned):
		return fmt.Errorf("the account says free, the server is not: %s", m)
	case x.Settled() && x.Taint() == 0 && !idle:
		return fmt.Errorf("the account says settled, the server is not: %s", m)
	case x.Taint()&Doubt != 0 && !m.copyFail:
		return errors.New("the account doubts without a reason")
	case idle && !x.Settled() && x.Taint()&Doubt == 0:
		return fmt.Errorf("the server is idle, the account is not settled: %s", describe(x))
	case x.Taint()&Doubt == 0 && len(m.in) == 0 && len(m.out) == m.held && x.Comes() != (m.due() > 0):
		return fmt.Errorf("the server is to send more: %t, the account says %t: %s", m.due() > 0, x.Comes(), m)
	case x.Taint()&Doubt != 0 || len(m.in) > 0 || len(m.out) > 0:
		// What follows compares what both know exactly.
	case x.Due() != m.due():
		return fmt.Errorf("the server owes %d, the account says %s", m.due(), describe(x))
	case x.Skipping() != m.skip:
		return fmt.Errorf("the server skips: %t, the account: %s", m.skip, describe(x))
	case x.Unended() != m.run && m.copies == 0:
		return fmt.Errorf("the server waits for a Sync: %t, the account: %s", m.run, describe(x))
	case (x.Copying() == CopyIn) != (m.copies > 0):
		return fmt.Errorf("the server reads COPY data: %t, the account: %s", m.copies > 0, describe(x))
	}
	return nil
}

// due is the number of ReadyForQuery that a server which has read everything owes: a Query's that waits for COPY data.
func (m *model) due() int {
	if m.copies > 0 && !m.extended {
		return 1
	}
	return 0
}

func (m *model) String() string {
	return fmt.Sprintf("unread=%d undelivered=%v skips=%t copies=%d run=%t status=%s poisoned=%t",
		len(m.in), m.out, m.skip, m.copies, m.run, m.status, m.poisoned)
}
