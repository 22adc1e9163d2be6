package relay

import "weir/proxy/wire"

// parses follows a client's Parse messages on its backend: whether they have left something that the client still needs there,
// and whether the backend's unnamed statement is this client's at all. PostgreSQL keeps the unnamed statement until the next
// Parse of it or the next simple Query, so it may be that of a client which had the backend before.
type parses struct {
	due     int  // Parse messages that were sent since it was last settled and that no ParseComplete has answered
	done    bool // one was answered, which may be that of unnamed
	named   bool // one of them was for a named statement
	first   bool // one of them was for the unnamed statement
	unnamed bool // as first, and nothing that uses it has been sent since: the next batch may bind it
	own     bool // the unnamed statement is the present client's
	batch   bool // it is so, or else the server throws away everything up to the next Sync
	open    bool // messages were sent since the last Sync whose failure would make the server throw away what follows
}

// leased begins anew with another client, or with the same one after others.
func (p *parses) leased() { *p = parses{} }

// sentNamed notes a Parse of a named statement.
func (p *parses) sentNamed() {
	p.due++
	p.named = true
}

// sentUnnamed notes a Parse of the unnamed statement. If the server does not throw it away, it ends the old one at least.
func (p *parses) sentUnnamed() {
	p.due++
	p.first, p.unnamed, p.batch = true, true, true
	p.own = p.own || !p.open
}

// used notes a Bind of the unnamed statement, or a Query, which destroys it.
func (p *parses) used() { p.unnamed = false }

// sent notes any message. From a Sync on the server listens again, whatever has failed. A COPY may have swallowed that Sync;
// then the client's end of the data comes behind it.
func (p *parses) sent(t byte) {
	switch t {
	case wire.ClientSync:
		p.open, p.batch = false, false
	case wire.ClientParse, wire.ClientBind, wire.ClientDescribe, wire.ClientExecute, wire.ClientClose, wire.ClientCopyDone, wire.ClientCopyFail:
		p.open = true
	}
}

// complete notes a ParseComplete and reports whether it may have been for a named statement.
func (p *parses) complete() bool {
	p.due--
	p.done = true
	return p.named
}

// settled notes that all has been answered.
func (p *parses) settled() {
	p.own = p.own || p.first && p.due == 0
	p.unnamed = p.unnamed && p.done
	p.due, p.done, p.named, p.first = 0, p.unnamed, false, false
}

// mayUse reports whether what the unnamed statement is now can be the present client's only.
func (p *parses) mayUse() bool { return p.own || p.batch }
