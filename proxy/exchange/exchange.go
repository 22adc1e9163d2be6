// Package exchange keeps the account of one backend: what its client's messages made due, and what its answers have settled.
// It alone decides when a backend owes nothing. That is the most dangerous rule of a pooler: if a backend is freed one ReadyForQuery
// too early, the next client reads this one's rows.
//
// It is pure: messages in, answers to questions out; no I/O, no clock. One Exchange belongs to one backend and is touched by that
// backend's loop only. It may import proxy/wire and the standard library.
//
// The account is a queue of segments. A segment is a run of extended-protocol messages, each of which is answered by exactly
// one completion (ParseComplete, BindComplete, CloseComplete, RowDescription or NoData, CommandComplete, EmptyQueryResponse,
// PortalSuspended), and the message that ends it, which is answered by ReadyForQuery: Query, Sync or FunctionCall. The open
// segment collects what has not been ended yet. The corrections that real traffic needs are each a method with its reason.
package exchange

import "weir/proxy/wire"

// end is what closes a segment.
type end uint8

const (
	endQuery end = iota
	endSync
	endFunction
	endCopy // not answered: the place where a client that runs ahead ended its COPY data
)

// answered reports whether the end is an answer of its own, before its ReadyForQuery.
func (e end) answered() bool { return e == endQuery || e == endFunction }

type segment struct {
	due      uint32 // completions that the server still owes before the end
	end      end
	executed bool // an Execute stands in its run
	flushed  bool // of an endCopy: a Flush follows it, and nothing else before that
}

// Copy is the phase of a COPY that the server has announced.
type Copy uint8

// The phases of a COPY.
const (
	CopyNone   Copy = iota // → CopyIn, CopyOut, CopyBoth
	CopyIn                 // the server takes CopyData → CopyInDone, CopyNone
	CopyInDone             // the client has sent its last CopyData, the server has not answered yet → CopyNone
	CopyOut                // the server sends CopyData → CopyNone
	CopyBoth               // both do (replication) → CopyNone
)

func (c Copy) String() string {
	switch c {
	case CopyNone:
		return "none"
	case CopyIn:
		return "copy-in"
	case CopyInDone:
		return "copy-in-done"
	case CopyOut:
		return "copy-out"
	case CopyBoth:
		return "copy-both"
	}
	return "unknown"
}

// Exchange is the account of one backend. Reset makes it ready for use.
type Exchange struct {
	ring  []segment // a power of two long; the segments that have been ended, oldest at head
	head  uint32
	count uint32

	open     uint32 // completions due for messages after the last end
	opened   bool   // there was such a message: the server waits for a Sync, whatever is due
	executed bool   // one of them was an Execute

	asked   uint64 // answers that were ever due: completions, and the whole of each Query's and FunctionCall's
	owed    uint64 // those that are due now: open and all of the segments'
	flushed uint64 // the last one that was due when the client sent its last Flush

	begun    bool // the server has answered something since its last ReadyForQuery
	skipping bool // the server ignores all messages up to a Sync that the client has not sent yet
	copying  Copy
	inCopy   uint32 // Syncs that the client sent amid its CopyData: swallowed if the COPY succeeds
	status   wire.TxStatus
	taint    Taint
}

// Taint is a reason why the backend must not go to another client although it owes nothing.
type Taint uint8

// The members of Taint.
const (
	// QueryBehindExecute: a Query followed an Execute without a Sync between them. PostgreSQL 18 then says idle, fails the
	// next command whatever it is, and has not committed; that failure belongs to the client that caused it.
	QueryBehindExecute Taint = 1 << iota
	// Doubt: the answers did not fit the account, or the account had to guess.
	Doubt
)

// Status is the transaction status that the last ReadyForQuery gave.
func (x *Exchange) Status() wire.TxStatus { return x.status }

// Copying is the phase of a COPY under way.
func (x *Exchange) Copying() Copy { return x.copying }

// Taint is what stands against handing the backend on, although it may be free.
func (x *Exchange) Taint() Taint { return x.taint }

// Due is the number of ReadyForQuery messages that the server owes.
func (x *Exchange) Due() int {
	n := 0
	for i := range x.count {
		if x.at(i).end != endCopy {
			n++
		}
	}
	return n
}

// Ahead enters answers that messages of weir's own make due, which begin the open segment: an Execute may be among them that is known to do no
// harm to a Query that follows.
func (x *Exchange) Ahead(answers int) {
	x.open += uint32(answers)
	x.asked += uint64(answers)
	x.owed += uint64(answers)
	x.opened = true
}

// Asked is the number of the answer that the last message made due, counted since the last Reset. A Query and a FunctionCall have
// one, too, which lasts until their ReadyForQuery.
func (x *Exchange) Asked() uint64 { return x.asked }

// Owed is how many answers are due.
func (x *Exchange) Owed() uint64 { return x.owed }

// Answered is the number of the last answer that has come or will not come. They come in the order in which they were asked for, so
// that the server is busy with the next one, if any is due.
func (x *Exchange) Answered() uint64 { return x.asked - x.owed }

// Comes reports whether the server is to send more without being asked for it once more: a ReadyForQuery, or answers in front of a Flush.
func (x *Exchange) Comes() bool { return x.Due() > 0 || x.Answered() < x.flushed }

// Len is the number of segments in the account. The relay stops reading a client whose account grows too long.
func (x *Exchange) Len() int { return int(x.count) }

// Settled reports that the server owes nothing and waits for nothing: between two requests, in a transaction or not.
func (x *Exchange) Settled() bool {
	return x.count == 0 && !x.opened && !x.skipping && x.copying == CopyNone
}

// Unended reports that the client has asked for something that it has not ended: messages of the extended protocol without
// a Sync, executed perhaps and not committed.
func (x *Exchange) Unended() bool { return x.opened }

// Skipping reports that the server throws away what comes until the client sends a Sync.
func (x *Exchange) Skipping() bool { return x.skipping }

// Free reports that the backend is settled and in no transaction.
func (x *Exchange) Free() bool { return x.status == wire.TxIdle && x.Settled() }

// Quiet reports that what is sent now finds no transaction open, whatever becomes of the run that it is part of.
func (x *Exchange) Quiet() bool { return x.status == wire.TxIdle && x.count == 0 && x.taint == 0 }

// Reset makes the account that of a backend that has just logged in. The ring is kept unless it has grown large.
func (x *Exchange) Reset() {
	ring := x.ring
	if len(ring) > ringKept {
		ring = nil
	}
	*x = Exchange{ring: ring, status: wire.TxIdle}
}

// Certain makes the account that of a backend that owes nothing, whatever it was before: the caller has made sure of it. status is
// that of the backend's last ReadyForQuery.
func (x *Exchange) Certain(status wire.TxStatus) {
	x.Reset()
	x.status = status
}

// ringKept is the length up to which an empty ring is kept: 64 segments are half a kilobyte, and deeper pipelines are rare.
const ringKept = 64

func (x *Exchange) at(i uint32) *segment {
	return &x.ring[(x.head+i)&uint32(len(x.ring)-1)]
}

func (x *Exchange) push(s segment) {
	if x.count == uint32(len(x.ring)) {
		x.grow()
	}
	*x.at(x.count) = s
	x.count++
}

func (x *Exchange) grow() {
	ring := make([]segment, max(8, 2*len(x.ring)))
	for i := range x.count {
		ring[i] = *x.at(i)
	}
	x.ring, x.head = ring, 0
}

func (x *Exchange) pop() {
	f := x.at(0)
	x.owed -= uint64(f.due)
	if f.end.answered() {
		x.owed--
	}
	x.head++
	x.count--
}

// front is the segment that the server is answering, nil when only the open one is left.
func (x *Exchange) front() *segment {
	if x.count == 0 {
		return nil
	}
	return x.at(0)
}
