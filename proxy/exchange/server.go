package exchange

import "weir/proxy/wire"

// Server enters one message that came from the server and is meant for the client. Types that settle nothing may be passed or
// left out; for ReadyForQuery call Ready.
func (x *Exchange) Server(t byte) {
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
			x.trim()
		}
		return
	}
	if x.open > 0 {
		x.open--
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
// that stream: the server swallows them, so they make nothing due.
func (x *Exchange) copyIn() {
	x.copying = CopyIn
	carried, swallowed := uint32(0), uint32(0)
	for i := uint32(0); i < x.count; {
		s := x.at(i)
		s.due += carried
		carried = 0
		if s.end == endQuery || s.end == endFunction {
			i++
			continue
		}
		carried = s.due
		last := s.end == endCopy
		if !last {
			swallowed++
		}
		x.remove(i)
		if last {
			x.copying = CopyInDone
			if i < x.count {
				x.at(i).due += carried
				carried = 0
			}
			break
		}
	}
	if carried > 0 {
		// The Execute that runs the COPY has lost its Sync: it stands in the open segment again.
		x.open += carried
		x.opened, x.executed = true, true
	}
	x.inCopy = swallowed
}

// fail takes note of an ErrorResponse. An error of an extended-protocol message makes the server throw away everything up to
// the next Sync, a Query among it, so what those messages had made due is due no more. An error of a Query, of a FunctionCall,
// or of the commit at a Sync is followed by that message's own ReadyForQuery.
func (x *Exchange) fail() {
	if x.inCopy > 0 {
		// Nobody can tell whether the server read those Syncs before the error, as COPY data, or after it, as Syncs.
		x.taint |= Doubt
		x.inCopy = 0
	}
	x.copying = CopyNone
	f := x.front()
	switch {
	case f == nil && x.open > 0:
		x.skip()
	case f != nil && f.due > 0:
		for x.count > 0 && x.at(0).end != endSync {
			x.pop()
		}
		if x.count == 0 {
			x.skip()
			return
		}
		x.at(0).due = 0
	}
}

func (x *Exchange) skip() {
	x.open, x.opened, x.executed = 0, false, false
	x.skipping = true
}

// Ready takes note of a ReadyForQuery.
func (x *Exchange) Ready(status wire.TxStatus) {
	x.status = status
	x.copying = CopyNone
	f := x.front()
	if f == nil || f.due > 0 || !status.Valid() {
		x.taint |= Doubt
	}
	if f == nil {
		x.open, x.opened, x.executed, x.skipping = 0, false, false, false
		return
	}
	x.pop()
	x.trim()
}
