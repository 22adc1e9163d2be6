package conversation

import (
	"strings"
	"testing"
)

// TestLastClientsStatementsExplainNoPin: what a client has sent before it left in the middle of a transaction is not taken for what has pinned the
// backend to the next one.
func TestLastClientsStatementsExplainNoPin(t *testing.T) {
	p := newPair()
	say := func(ask, answer string) {
		t.Helper()
		request, _ := encode(t, ask, clientMessage)
		reply, _ := encode(t, answer, serverMessage)
		if !p.ask(request) || !p.answer(reply) {
			t.Fatalf("%s is not answered", ask)
		}
	}
	say(`Query "begin"`, `CommandComplete "BEGIN";ReadyForQuery T`)
	listens := strings.TrimSuffix(strings.Repeat(`Query "listen theirs";`, suspicionMax), ";")
	say(listens, strings.TrimSuffix(strings.Repeat(`CommandComplete "LISTEN";ReadyForQuery T;`, suspicionMax), ";"))
	if p.server.Orphan() != CleanRollback {
		t.Fatal("the transaction is not rolled back")
	}
	p.errand(Rollback)
	for _, e := range []*Errand{Ask, Reset} {
		p.errand(e)
	}
	p.client, p.leased = Client{Told: rigParams}, false
	say(`Query "select pg_advisory_lock(1)"`, `CommandComplete "SELECT 1";ReadyForQuery I`)
	if by := p.server.PinnedBy(); strings.Contains(by, "theirs") {
		t.Errorf("the backend is pinned by %q", by)
	}
}
