package exchange

import "weir/proxy/wire"

// Client enters one message that goes to the server. Types that make nothing due may be passed or left out.
func (x *Exchange) Client(t byte) {
	switch t {
	case wire.ClientQuery:
		x.ends(endQuery)
	case wire.ClientFunctionCall:
		// A FunctionCall ends in ReadyForQuery without a Sync (manual, "Function Call"), so it owes one by itself.
		x.ends(endFunction)
	case wire.ClientSync:
		x.sync()
	case wire.ClientExecute:
		x.extended()
		x.executed = x.executed || !x.skipping
	case wire.ClientParse, wire.ClientBind, wire.ClientDescribe, wire.ClientClose:
		x.extended()
	case wire.ClientFlush:
		x.flush()
	case wire.ClientCopyDone, wire.ClientCopyFail:
		x.copyEnd()
	}
}

// flush notes that the server sends what it has answered so far, unless it takes the Flush for part of its COPY data.
func (x *Exchange) flush() {
	if x.inData() {
		return
	}
	x.flushed = x.asked
	if x.count > 0 && x.open == 0 {
		x.at(x.count - 1).flushed = true
	}
}

func (x *Exchange) extended() {
	if x.skipping {
		return
	}
	x.open++
	x.asked++
	x.owed++
	x.opened = true
}

// ends closes the open segment with a Query or a FunctionCall.
func (x *Exchange) ends(e end) {
	if x.skipping {
		return // thrown away like everything else before the Sync
	}
	x.asked++
	x.owed++
	x.close(e)
}

func (x *Exchange) sync() {
	if x.inData() {
		// The server swallows a Sync amid COPY data. Should the COPY fail before the server reads this Sync, it counts
		// after all: fail resolves that.
		x.inCopy++
		return
	}
	x.skipping = false
	x.close(endSync)
}

func (x *Exchange) close(e end) {
	x.push(segment{due: x.open, end: e, executed: x.executed})
	x.open, x.opened, x.executed = 0, false, false
}

// inData reports whether the server reads what the client sends now as part of its COPY data. If anything else was sent since
// the command, the COPY has failed by then, although the account has not heard of it, or the connection is lost.
func (x *Exchange) inData() bool {
	switch {
	case x.copying != CopyIn:
		return false
	case x.count == 0:
		return x.open == 1 // the Execute
	default:
		return x.count == 1 && x.at(0).due == 0 && !x.opened // the Query
	}
}

// copyEnd notes where the client's COPY data ended. A client may say so before the server has announced the COPY, and after
// the COPY has failed; then nothing depends on it, and trim forgets it.
func (x *Exchange) copyEnd() {
	switch {
	case x.inData():
		x.copying = CopyInDone
	case x.skipping:
	case x.count > 0 || x.opened:
		x.push(segment{due: x.open, end: endCopy, executed: x.executed})
		x.open = 0
		x.trim()
	}
}
