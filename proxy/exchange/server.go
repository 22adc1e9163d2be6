package exchange

import "weir/proxy/wire"

// Server enters one message that came from the server and is meant for the client. Types that settle nothing may be passed or
// left out; for ReadyForQuery call Ready.
func (x *Exchange) Server(t byte) {
	x.begun = true
	switch t {
	case wire.ServerCommandComplete:
		x.copying, x.inCopy = CopyNone, 0
		x.complete()
	case wire.ServerParseComplete, wire.ServerBindComplete, wire.ServerCloseComplete,
		wire.ServerNoData, wire.ServerRowDescription,
		wire.ServerEmptyQueryResponse, wire.ServerPortalSuspended:
		x.complete()
	case wire.ServerCopyInResponse:
		x.copyIn()
	case wire.ServerCopyOutResponse:
		x.copying = CopyOut
	case wire.ServerCopyBothResponse:
		x.copying = CopyBoth
	case wire.ServerErrorResponse:
		x.fail()
	}
}

// complete settles one message of the run that the server is answering. A simple Query's answers find nothing due: they are
// settled by its ReadyForQuery alone.
func (x *Exchange) complete() {
	if f := x.front(); f != nil {
		if f.due > 0 {
			f.due--
			x.owed--
			x.trim()
		}
		return
	}
	if x.open > 0 {
		x.open--
		x.owed--
	}
}

// trim forgets ends of COPY data that no COPY has claimed by the time the server has passed them: it drops late CopyDone and
// CopyFail messages without an answer.
func (x *Exchange) trim() {
	for x.count > 0 {
		if f := x.at(0); f.end != endCopy || f.due > 0 {
			return
		}
		x.pop()
	}
}

// copyIn takes note that the server now reads COPY data. Syncs that the client had sent ahead of its CopyDone are part of
// that stream: the server swallows them, so they make nothing due, and what they had ended goes on after them. So it does with
// a Flush. The walk ends where something else was sent, which is fatal amid COPY data unless the COPY has failed before.
func (x *Exchange) copyIn() {
	x.copying = CopyIn
	first, due := uint32(0), uint32(1) // an Execute runs the COPY; its completion is the last one due in front of a Sync
	if f := x.front(); f != nil && f.due == 0 {
		first, due = 1, 0 // a Query does
	}
	var run segment // what a swallowed Sync, or the end of the data, had ended
	var flushed bool
	i := first
	for i < x.count && x.copying == CopyIn {
		s := *x.at(i)
		if s.due != due || s.end == endQuery || s.end == endFunction {
			break
		}
		if s.end == endSync {
			x.inCopy++
		} else {
			x.copying, flushed = CopyInDone, s.flushed
		}
		run.due += s.due
		run.executed = run.executed || s.executed
		due = 0
		i++
	}
	if busy := x.Answered() + 1; x.flushed == busy && !flushed {
		x.flushed-- // the Flush was part of the data, and the command's completion waits for another one or a Sync
	}
	if run.due > 0 {
		x.prepend(run, i)
	}
	if first == 1 && i > 1 {
		*x.at(i - 1) = *x.at(0)
	}
	x.head += i - first
	x.count -= i - first
}

// prepend puts the run of s, whose end is gone, in front of segment i or of the open run.
func (x *Exchange) prepend(s segment, i uint32) {
	if i == x.count {
		x.open += s.due
	} else {
		x.at(i).due += s.due
	}
	for ; i < x.count; i++ {
		x.at(i).executed = x.at(i).executed || s.executed
		if x.at(i).end != endCopy {
			return // the run has an end again
		}
	}
	x.opened, x.executed = true, x.executed || s.executed
}

// fail takes note of an ErrorResponse. An error of an extended-protocol message makes the server throw away everything up to
// the next Sync, a Query among it, so what those messages had made due is due no more. An error of a Query, of a FunctionCall,
// or of the commit at a Sync is followed by that message's own ReadyForQuery.
func (x *Exchange) fail() {
	if x.inCopy > 0 {
		// The stream does not tell whether the server read those Syncs before the error, as COPY data, or after it, as Syncs.
		x.taint |= Doubt
		x.inCopy = 0
	}
	x.copying = CopyNone
	f := x.front()
	switch {
	case f == nil && x.opened:
		x.skip() // with nothing due it was a Flush: a statement_timeout that ran out meanwhile strikes at the next message
	case f != nil && f.due > 0:
		for x.count > 0 && x.at(0).end != endSync {
			x.pop()
		}
		if x.count == 0 {
			x.skip()
			return
		}
		x.owed -= uint64(x.at(0).due)
		x.at(0).due = 0
	}
}

func (x *Exchange) skip() {
	x.owed -= uint64(x.open)
	x.open, x.opened, x.executed = 0, false, false
	x.skipping = true
}

// Ready takes note of a ReadyForQuery.
func (x *Exchange) Ready(status wire.TxStatus) {
	begun := x.begun
	x.status, x.begun = status, false
	x.copying, x.inCopy = CopyNone, 0
	f := x.front()
	if f != nil && x.taint&Doubt != 0 && (f.due > 0 || f.end != endSync && !begun) {
		return // it answers one of the Syncs that may have been swallowed
	}
	for x.count > 0 && x.at(0).end == endCopy { // trim left it because of what is due in front of it
		x.taint |= Doubt
		x.pop()
	}
	f = x.front()
	if f == nil || f.due > 0 || !status.Valid() {
		x.taint |= Doubt
	}
	if f == nil {
		x.owed -= uint64(x.open)
		x.open, x.opened, x.executed, x.skipping = 0, false, false, false
		return
	}
	if f.executed && f.end != endSync {
		x.taint |= QueryBehindExecute
	}
	x.pop()
	x.trim()
}
