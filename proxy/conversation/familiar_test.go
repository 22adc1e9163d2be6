package conversation

import (
	"fmt"
	"testing"
)

// playText has a client send a text as often as it takes until its statement is trusted, and once more.
func playText(t *testing.T, p *pair, text, tag string) {
	t.Helper()
	request, _ := encode(t, `Query "`+text+`"`, clientMessage)
	answer, _ := encode(t, `CommandComplete "`+tag+`";ReadyForQuery I`, serverMessage)
	for range cleanEnough + 1 {
		p.ask(append([]byte(nil), request...))
		p.answer(append([]byte(nil), answer...))
	}
}

func (p *pair) knows(text string) bool { return p.shared.records.familiar.find([]byte(text)) != nil }

func TestTextsThatAreTrustedBecomeFamiliar(t *testing.T) {
	p := newPair()
	playText(t, p, "select a from t where b = 1", "SELECT 1")
	if !p.knows("select a from t where b = 234") {
		t.Error("the text is not familiar with another number")
	}
	if p.knows("select a from t where c = 1") {
		t.Error("another text is familiar")
	}
	p.shared.Renew()
	if p.knows("select a from t where b = 1") {
		t.Error("it is familiar although what is known of statements has been forgotten")
	}
	for text, tag := range map[string]string{
		"set local work_mem = 1024": "SET", "select currval('a_sequence')": "SELECT 1", "select lastval() from a": "SELECT 1",
		"notify a_channel, 'text'": "NOTIFY", "execute statement(1)": "SELECT 1",
	} {
		if playText(t, p, text, tag); p.knows(text) {
			t.Errorf("%q is familiar, which does something", text)
		}
	}
}

// TestFamiliarTextsShareWhatIsKnown: once a statement is found to leave state, its familiar texts are asked after.
func TestFamiliarTextsShareWhatIsKnown(t *testing.T) {
	p := newPair()
	playText(t, p, "select a from t where b = 1", "SELECT 1")
	known := p.shared.records.familiar.find([]byte("select a from t where b = 1"))
	known.leaves, known.wide = true, true
	request, _ := encode(t, `Query "select a from t where b = 2"`, clientMessage)
	answer, _ := encode(t, `CommandComplete "SELECT 1";ReadyForQuery I`, serverMessage)
	if !p.ask(request) {
		t.Fatal("the client is not served")
	}
	p.server.FromServer(answer, &p.toClient)
	if fate := p.server.Fate(); fate != Questioned {
		t.Errorf("nothing is asked after it: the backend %s", fate)
	}
}

func TestForgottenStatementsAreNotFamiliar(t *testing.T) {
	p := newPair()
	playText(t, p, "select a from t where b = 1", "SELECT 1")
	h := &p.shared.records
	for len(h.known) > 0 { // the text's is among them
		h.makeRoom()
	}
	if p.knows("select a from t where b = 1") {
		t.Error("it is familiar although it is not known any more")
	}
}

// TestFamiliarTextsAreBounded: whatever clients send, no more is kept.
func TestFamiliarTextsAreBounded(t *testing.T) {
	var f familiar
	b := &record{clean: cleanEnough}
	for i := range 100 {
		f.add(fmt.Appendf(nil, "select f%d(1), 'a long text'", i), b)
	}
	kept := 0
	for i := range f.sets {
		for _, way := range f.sets[i].ways {
			if way.known != nil {
				kept++
			}
		}
	}
	if kept != shapesMax {
		t.Errorf("%d shapes of one statement are kept", kept)
	}
}
