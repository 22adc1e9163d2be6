package relay

import (
	"strings"

	"weir/proxy/prepared"
	"weir/proxy/status"
)

const (
	// statementsMax bounds the statements of one engine that are shown.
	statementsMax = 10_000
	// statementTextMax bounds what is shown of a text, in bytes.
	statementTextMax = 1000
)

// Statements are the prepared statements that clients share, lane by lane, in no order within a lane. Any goroutine but the loop's.
func (e *Engine) Statements() (rows []status.Statement) {
	e.visitLanes(func(l *Lane) (more bool) {
		if len(rows) < statementsMax {
			rows = l.statements(rows)
		}
		return false
	})
	return rows
}

func (l *Lane) statements(rows []status.Statement) []status.Statement {
	held := map[*prepared.Statement]int{}
	for _, b := range l.backends {
		if b != nil {
			b.talk.EachStatement(func(s *prepared.Statement) { held[s]++ })
		}
	}
	l.talk.Statements.Each(func(s *prepared.Statement) {
		if len(rows) >= statementsMax {
			return
		}
		text := s.Text()
		rows = append(rows, status.Statement{
			Database: l.config.Database, User: l.config.User, Pool: l.config.Number, Name: s.Name(), Clients: max(s.References()-held[s], 0), Backends: held[s],
			Text: strings.ToValidUTF8(text[:min(len(text), statementTextMax)], ""),
		})
	})
	return rows
}
