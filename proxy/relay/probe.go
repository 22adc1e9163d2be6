package relay

import (
	"bytes"
	"crypto/rand"

	"weir/proxy/exchange"
	"weir/proxy/wire"
)

// doubtful reports whether more may be due to the client than the account knows of.
func (b *Backend) doubtful() bool { return b.account.Taint()&exchange.Doubt != 0 }

// probe asks a server whose account is in doubt a question whose answer cannot be mistaken. What comes before it is the
// client's; once it has come nothing is due any more, and the doubt is over. Until then the client is not read.
//
// It is needed behind a COPY that has failed: which Syncs the COPY has swallowed, and which are answered, the server does not
// say. Several drivers send one such Sync with the Execute of each COPY.
func (b *Backend) probe() {
	if b.probing || b.client.skip > 0 || b.account.Taint() != exchange.Doubt {
		return // a PostgreSQL 18 with a Query behind an Execute would fail at it, whatever it is
	}
	b.probing = true
	b.until = b.lane.engine.loop.Now() + settleTimeout
	if err := b.sock.Write(&b.lane.engine.io, probeRequest); err != nil {
		b.doom(err)
	} else if b.sock.Parked() {
		b.watchWrite(true)
	}
}

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

// probed looks whether p, which follows a ParseComplete, makes that the beginning of the probe's answer, which is swallowed then. False:
// p is too short to tell.
func (b *Backend) probed(p []byte) bool {
	n := min(len(p), len(probeAnswer))
	if b.errand != errandNone || !bytes.Equal(p[:n], probeAnswer[:n]) {
		return true
	}
	if n < len(probeAnswer) {
		return false
	}
	b.errand = errandProbe
	return true
}

// probeDone goes on with an account that is exact again.
func (b *Backend) probeDone(status wire.TxStatus) {
	b.probing = false
	b.book.Abandon(b.names()) // what was still expected was thrown away
	b.account.Certain(status)
	b.settled(status)
	if b.client != nil {
		b.client.readOn()
	}
}
