package relay

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"weir/proxy/exchange"
	"weir/proxy/wire"
)

// probeName is the column of a probe's answer. It is random, so that no client can give it to an answer of its own.
var probeName = func() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "weir asks whether anything is due " + hex.EncodeToString(b[:])
}()

var errProbeLost = errors.New("nobody can tell which answers are still due")

// doubtful reports whether more may be due to the client than the account knows of.
func (b *Backend) doubtful() bool { return b.account.Taint()&exchange.Doubt != 0 }

// probe asks a server whose account is in doubt a question whose answer cannot be mistaken. What comes before it is the
// client's; once it has come nothing is due any more, and the doubt is over. Until then the client is not read.
//
// It is needed behind a COPY that has failed: which Syncs the COPY has swallowed, and which are answered, the server does not
// say. Several drivers send one such Sync with the Execute of each COPY.
//
// status is that of the last ReadyForQuery. In a failed transaction the server would refuse the question and the refusal could be
// an answer to the client; the account stays in doubt until the client has rolled back.
func (b *Backend) probe(status wire.TxStatus) {
	switch {
	case b.probing && status == wire.TxFailed:
		b.doom(errProbeLost) // a transaction that the account did not know of has refused the question
		return
	case b.probing, status == wire.TxFailed, b.client.skip > 0:
		return
	case b.account.Taint() != exchange.Doubt:
		return // a PostgreSQL 18 with a Query behind an Execute would fail at it, whatever it is
	}
	b.probing = true
	b.until = b.lane.engine.loop.Now() + settleTimeout
	p := wire.AppendQuery(nil, `SELECT 1 AS "`+probeName+`"`)
	if err := b.sock.Write(&b.lane.engine.io, p); err != nil {
		b.doom(err)
	} else if b.sock.Parked() {
		b.watchWrite(true)
	}
}

// probed reports whether a RowDescription is the beginning of a probe's answer.
func probed(body []byte) bool {
	return len(body) > 2 && bytes.HasPrefix(body[2:], []byte(probeName+"\x00"))
}

// probeDone goes on with an account that is exact again.
func (b *Backend) probeDone(status wire.TxStatus) {
	b.probing = false
	b.account.Certain(status)
	b.settled(status)
	if b.client != nil {
		b.client.readOn()
	}
}
