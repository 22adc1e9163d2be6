package conversation

import (
	"weir/proxy/prepared"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// long is a Query or a Parse of which more is to come than is looked at at once. Its text is read as it passes; that of a Parse is kept,
// up to a limit, so that another backend can be given it.
type long struct {
	scanner   sqlscan.Scanner
	text      bool // the text has not ended yet
	at        uint64
	statement *prepared.Statement // nil: a Query
	kept      []byte              // what stands after the name of a Parse; nil: it is not kept
	mention   mention             // of keepers, in one that is not kept
}

// keptMax is the length up to which the text of a Parse is kept. The client of a longer named statement stays on its backend until the
// statement is closed; that of a longer unnamed one until it has been bound and the transaction is over, and it is gone after that.
const keptMax = 1 << 20

func (s *Server) newLong(text []byte) *long {
	l := &long{scanner: sqlscan.NewScanner(s.mode), text: true, kept: []byte{}}
	l.feed(&s.shared.keepers, text)
	return l
}

// feed takes the next bytes.
func (l *long) feed(k *keepers, p []byte) {
	switch {
	case l.kept == nil:
		l.mention.feed(k, p)
	case len(l.kept)+len(p) > keptMax:
		l.mention.feed(k, l.kept)
		l.mention.feed(k, p)
		l.kept = nil
	default:
		l.kept = append(l.kept, p...)
	}
	if !l.text {
		return
	}
	for i, c := range p {
		if c == 0 { // the text ends; parameter types follow in a Parse
			l.text = false
			p = p[:i]
			break
		}
	}
	l.scanner.Feed(p)
}

// end enters what the text may do, now that it has come whole. True: it must not be carried out.
func (l *long) end(s *Server) (spoil bool) {
	effects := l.scanner.Effects()
	if l.kept == nil {
		effects |= sqlscan.Opaque // the text is gone
		s.hasMentioned(l.mention.end(&s.shared.keepers))
	} else {
		effects = s.shared.Functions.Effects(wire.PeekQuery(l.kept), s.mode, effects)
	}
	switch {
	case l.statement == nil:
		return l.endQuery(s, effects)
	case l.kept == nil || s.client == nil:
		l.statement.Learn(effects)
	default:
		s.client.names.Keep(l.statement, l.kept, s.mode, effects)
	}
	return false
}

func (l *long) endQuery(s *Server, effects sqlscan.Effects) (spoil bool) {
	spoil = effects&sqlscan.Sequences != 0 && s.recallsLong(l.at)
	effects &^= sqlscan.Sequences
	var found settings
	if l.kept != nil {
		text := wire.PeekQuery(l.kept)
		if effects&setters != 0 {
			names, sure := s.named(text, effects)
			found = settings{named: names, makesUp: !sure}
		}
		if effects&sqlscan.SetConfig != 0 {
			given := s.shared.configs(text)
			found.said = given.literally() != nil
		}
		if effects&anything != 0 {
			found.makesUp = s.mayDoAnything(text, effects) || found.makesUp
		}
		s.runsText(text, effects)
	}
	s.ledger.learn(l.at, effects, found)
	s.noteAlteration(effects)
	return spoil
}
