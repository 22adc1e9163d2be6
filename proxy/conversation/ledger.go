package conversation

import (
	"weir/proxy/pgerror"
	"weir/proxy/prepared"
	"weir/proxy/sqlscan"
)

// entry is a statement under way that may do something to the session, or that weir refuses in the server's stead.
type entry struct {
	at      uint64 // the number of its answer in the account
	effects sqlscan.Effects
	settings
	made    edits          // what weir has done to the text
	done    int            // commands of the text that have succeeded
	refusal *pgerror.Error // what the client gets in place of the server's error; nil: nothing is refused

	outdated bool // it gets staleError
}

// settings are what a statement does to settings.
type settings struct {
	uses     []use    // its SETs and RESETs that have not been answered yet, where they can be read
	followed bool     // they can be followed
	asks     []string // the settings that it gives values that the text does not say; nil: any
	named    []string // custom ones that it names beside others
	said     bool     // it says all names that it gives to set_config
	makesUp  bool     // it may set one whose name it makes up, or that the server does not show
	partly   bool     // it is DISCARD PLANS, SEQUENCES or TEMP, which leaves settings and names alone
}

// ledger has the statements under way, the oldest first. A statement is entered when it is sent and settled by the answer that belongs
// to it: done, failed, or thrown away with its pipeline. A statement that leaves no trace has no entry.
type ledger struct {
	entries []entry
	head    int
	ending  int // entries that may end prepared statements, or all state of the session
}

// endings are the effects after which names and settings mean something else.
const endings = sqlscan.Deallocate | sqlscan.Discard

// ends reports whether the statement may end prepared statements, or all state of the session.
func (e *entry) ends() bool { return e.effects&endings != 0 && !e.partly }

func (l *ledger) enter(e entry) {
	if e.effects == 0 && e.refusal == nil && !e.outdated {
		return
	}
	if e.ends() {
		l.ending++
	}
	l.entries = append(l.entries, e)
}

// at returns the entry of the answer that the server is busy with; nil if that leaves no trace.
func (l *ledger) at(busy uint64) *entry {
	for i := l.head; i < len(l.entries); i++ {
		switch e := &l.entries[i]; {
		case e.at == busy:
			return e
		case e.at > busy:
			return nil
		}
	}
	return nil
}

// busyWith are the entries of what the server may be busy with: all that are under way where the account is in doubt.
func (l *ledger) busyWith(busy uint64, doubtful bool) []entry {
	if doubtful {
		return l.entries[l.head:]
	}
	for i := l.head; i < len(l.entries) && l.entries[i].at <= busy; i++ {
		if l.entries[i].at == busy {
			return l.entries[i : i+1]
		}
	}
	return nil
}

// learn enters the effects of a statement whose text has come whole only now.
func (l *ledger) learn(at uint64, effects sqlscan.Effects, found settings) {
	if e := l.at(at); e != nil {
		if e.ends() {
			l.ending--
		}
		e.effects, e.settings = effects, found
		if e.ends() {
			l.ending++
		}
	}
}

// settle forgets the entries up to an answer that has come, or will not come.
func (l *ledger) settle(answered uint64) {
	for l.head < len(l.entries) && l.entries[l.head].at <= answered {
		if l.entries[l.head].ends() {
			l.ending--
		}
		l.entries[l.head] = entry{}
		l.head++
	}
	if l.head == len(l.entries) {
		l.entries, l.head = l.entries[:0], 0
		if cap(l.entries) > entriesKept {
			l.entries = nil
		}
	}
}

// entriesKept is the room for statements under way that a backend keeps.
const entriesKept = 64

// illegible reports whether something under way may change how the server reads texts.
func (l *ledger) illegible() bool {
	for i := l.head; i < len(l.entries); i++ {
		if e := l.entries[i].effects; e&alters != 0 && e&legible == 0 {
			return true
		}
	}
	return false
}

// discards reports whether something under way may take back all state of the session.
func (l *ledger) discards() bool {
	for i := l.head; i < len(l.entries); i++ {
		if e := &l.entries[i]; e.effects&sqlscan.Discard != 0 && !e.partly {
			return true
		}
	}
	return false
}

// all is the union of the effects of everything under way: what may have happened where the account is in doubt.
func (l *ledger) all() (e sqlscan.Effects) {
	for i := l.head; i < len(l.entries); i++ {
		e |= l.entries[i].effects
	}
	return e
}

func (l *ledger) clear() { l.settle(^uint64(0)) }

// portals are what the portals of a transaction would do when they are run. Most do nothing and are not kept.
type portals struct {
	some    bool // any is kept
	unnamed bound
	named   []portal
	many    sqlscan.Effects // of those that were too many to keep apart
}

type portal struct {
	name string
	bound
}

// bound is what running a portal would do.
type bound struct {
	effects sqlscan.Effects
	settings
	statement *prepared.Statement // for what is known of it; nil: nothing. It is not a reference
}

// text is that of the statement; nil if that is not known.
func (b *bound) text() []byte {
	if b.statement == nil {
		return nil
	}
	return []byte(b.statement.Text())
}

// portalsMax bounds the named portals whose effects are kept apart.
const portalsMax = 64

func (p *portals) bind(name []byte, b bound) {
	p.some = true
	if len(name) == 0 {
		p.unnamed = b
		return
	}
	for i := range p.named {
		if p.named[i].name == string(name) {
			b.settings = settings{}
			b.effects |= p.named[i].effects // one of the two Binds may fail
			p.named[i].bound = b
			return
		}
	}
	if len(p.named) < portalsMax {
		p.named = append(p.named, portal{string(name), b})
	} else {
		p.many |= b.effects | sqlscan.Opaque
	}
}

// at is what running a portal would do.
func (p *portals) at(name []byte) bound {
	if len(name) == 0 {
		return p.unnamed
	}
	for i := range p.named {
		if p.named[i].name == string(name) {
			b := p.named[i].bound
			if b.effects |= p.many; p.many != 0 {
				b.settings = settings{}
			}
			return b
		}
	}
	return bound{effects: p.many}
}

// end forgets all portals, at the end of the transaction.
func (p *portals) end() {
	if p.some {
		*p = portals{}
	}
}
