package status

import "time"

// Transaction is one that is over, as it is told to tracing.
type Transaction struct {
	Database, User    string // as the client has named them
	PoolUser          string // as whom its backend has logged in
	Peer, Application string
	Server            string // the server's address
	Backend           uint32 // its process

	// Moments of the loop's clock, which was 0 at Epoch.
	Epoch  time.Time
	Asked  int64 // for a backend; that of Leased if the client had one already
	Leased int64 // got it
	Began  int64 // the first request was sent
	Ended  int64

	Idle       time.Duration // between requests
	Statements int
	Statement  string // the beginning of the first one; empty if that is not known, or not to be told

	TraceID [16]byte // of the span that it belongs to; zero: of none
	SpanID  [8]byte

	End      TransactionEnd
	SQLState string // of the last error that its client was sent by the server; empty: none
}

// TransactionEnd is how a transaction ended.
type TransactionEnd uint8

// The ends of transactions.
const (
	TransactionEnded TransactionEnd = iota // the server says that it is over
	TransactionLeft                        // the client has gone in the middle of it
	TransactionLost                        // the backend has
	TransactionEnds                        // how many there are
)

func (e TransactionEnd) String() string {
	return [...]string{"ended", "client_left", "backend_lost"}[e]
}

// Tracing counts transactions that were traced, by what became of them; all are totals.
type Tracing struct {
	Sent    uint64 // the collector has taken them
	Dropped uint64 // there was no room, because it did not take those before
	Failed  uint64 // it was not reached, or has refused them
}
