package conversation

import (
	"bytes"
	"testing"

	"weir/proxy/wire"
)

// FuzzConversation has two clients and two servers say anything at all, in pieces of any length. Each record of the input is a byte that
// says who speaks, one that says how much, and that. The rig holds the core to what must be true whatever they say: a client's stream
// and its outlet agree about which message is whole, a server that is handed on owes nothing, and what a server without a client says
// goes nowhere.
func FuzzConversation(f *testing.F) {
	seed := func(script ...string) {
		var in []byte
		for i := 0; i+1 < len(script); i += 2 {
			message := clientMessage
			who := byte(0)
			if script[i][0] == 's' {
				message, who = serverMessage, 2
			}
			p, err := message(script[i+1])
			if err != nil {
				f.Fatal(err)
			}
			who += script[i][1] - '1'
			for len(p) > 0 {
				n := min(len(p), 200)
				in = append(append(in, who, byte(n)), p[:n]...)
				p = p[n:]
			}
		}
		f.Add(uint8(0), in)
		f.Add(uint8(1), in)
		f.Add(uint8(6), in)
	}
	seed("c1", `Query "select 1"`, "s1", `DataRow "1"`, "s1", `CommandComplete "SELECT 1"`, "s1", "ReadyForQuery I")
	seed("c1", `Parse s "select 1"`, "c1", "Sync", "c1", "Close S s", "c1", "Sync", "c1", `Parse s "select 2"`, "c1", "Sync",
		"s1", "ParseComplete", "s1", "ReadyForQuery I", "s1", "CloseComplete", "s1", "ReadyForQuery I", "s1", "ParseComplete", "s1", "ReadyForQuery I")
	seed("c1", `Parse "" "discard all"`, "c1", `Bind "" ""`, "c1", `Execute ""`, "c1", `Query "select 2"`, "c1", "Sync",
		"s1", "ParseComplete", "s1", "BindComplete", "s1", `ErrorResponse 25001 "weir_1 no"`, "s1", "ReadyForQuery I", "s1", "ReadyForQuery I")
	seed("c1", `Parse "" "copy t from stdin"`, "c1", `Bind "" ""`, "c1", `Execute ""`, "c1", "Sync", "s1", "ParseComplete", "s1", "BindComplete",
		"s1", "CopyInResponse", "s1", `ErrorResponse 22P04 "no"`, "s1", "ReadyForQuery I", "s1", "ProbeAnswer", "s1", "ReadyForQuery I", "c1", "Sync")
	seed("c1", `Query "set timezone = 'x'"`, "s1", "ParameterStatus TimeZone x", "s1", `CommandComplete "SET"`, "s1", "ReadyForQuery I", "c1", "Terminate",
		"s1", `CommandComplete "SET"`, "s1", "ReadyForQuery I", "s1", `CommandComplete "DISCARD ALL"`, "s1", "ReadyForQuery I")
	seed("c2", `Query "deallocate s"`, "c2", "FunctionCall 1", "s1", "FunctionCallResponse", "s1", "ReadyForQuery T", "c2", "Flush")
	seed("c1", `Parse s "select * from t"`, "c1", "Describe S s", "c1", "Sync", "s1", "ParseComplete", "s1", "RowDescription a", "s1", "ReadyForQuery I",
		"c1", `Bind "" s`, "c1", "Sync", "s1", `ErrorResponse 0A000 "no" ERROR RevalidateCachedQuery`, "s1", "ReadyForQuery I", "c2", `Query "select 1"`,
		"c1", `Bind "" s`, "c1", "bytes B\x00\x00", "s2", "ParseComplete", "s2", "RowDescription b", "s2", "CloseComplete", "s2", "ReadyForQuery I")
	f.Fuzz(func(t *testing.T, rules uint8, in []byte) {
		r := fuzzRig(rules)
		for len(in) >= 2 && len(r.faults) == 0 {
			who, n := in[0]&3, min(int(in[1]), len(in)-2)
			p := in[2 : 2+n]
			in = in[2+n:]
			r.speak(who, bytes.Clone(p))
			r.check()
		}
		for _, fault := range r.faults {
			t.Error(fault)
		}
	})
}

func fuzzRig(rules uint8) *rig {
	r := newRig(Rules{Mode: Mode(rules % 3), Shares: rules&4 == 0 && rules%3 != 1, MaxStatements: 2, TextsMax: 1000})
	r.deny = rules&8 != 0
	r.addServer()
	r.addServer()
	r.addClient("c1")
	r.addClient("c2", parseSettings([]string{"DateStyle=German", "statement_timeout=1"})...)
	return r
}

// speak has client 0 or 1, or server 2 or 3, say p. Those that are gone are not heard.
func (r *rig) speak(who byte, p []byte) {
	if who >= 2 {
		r.servers[who-2].read(p)
	} else if c := r.clients[who]; !c.gone {
		c.input = append(c.input, p)
	}
	for _, c := range r.clients {
		c.read()
	}
}

// check holds what is true between two reads.
func (r *rig) check() {
	for _, s := range r.servers {
		t := &s.talk
		switch {
		case s.gone:
		case t.Free() && (t.Due() > 0 || t.account.Owed() > 0 || t.account.Unended() || t.account.Skipping() || t.Copying()):
			r.fault("%s is free with something due", s.name)
		case t.Errand() != nil && t.account.Owed() > 0 && !t.Probing():
			r.fault("%s is on an errand with something due", s.name)
		case s.client == nil && s.walk.Lacks() > 0:
			r.fault("%s was sent a part of a message, and its client has left it", s.name)
		case len(s.carry) >= InspectLen+1<<16:
			r.fault("%s: %d bytes are kept", s.name, len(s.carry))
		}
	}
	for _, c := range r.clients {
		if got, want := c.walk.Lacks(), c.talk.Outlet().Lacks(); !c.gone && got != want {
			r.fault("%s lacks %d of a message, its outlet says %d", c.name, got, want)
		}
	}
}

// FuzzPieces gives one server's answers and one client's requests once in one piece and once in two: what comes out must be the same.
func FuzzPieces(f *testing.F) {
	f.Add(uint8(0), uint16(7), wire.AppendQuery(nil, "select 1"), append(row("1"), frame('Z', "I")...))
	f.Add(uint8(0), uint16(20), append(wire.AppendParse(nil, "s", "select 1", nil), wire.AppendSync(nil)...), append(frame('1', ""), frame('Z', "I")...))
	f.Add(uint8(1), uint16(30), append(bind("", "s"), execute("")...), frame('E', errorBody("26000", "weir_1 is missing", "ERROR", "")))
	f.Fuzz(func(t *testing.T, rules uint8, at uint16, client, server []byte) {
		var got [2]string
		for i, cut := range []int{0, int(at)} {
			r := fuzzRig(rules & 4)
			for _, p := range pieces(client, cut) {
				r.speak(0, bytes.Clone(p))
			}
			for _, p := range pieces(server, cut) {
				r.servers[0].read(bytes.Clone(p)) // and the client is not read again
			}
			r.check()
			for _, fault := range r.faults {
				t.Error(fault)
			}
			for _, s := range r.servers[:1] {
				got[i] += "\n" + s.name + ": " + short(s.got[:min(len(s.got), 300)]) + s.String()
			}
			got[i] += "\n" + short(r.clients[0].got)
			if len(client) > InspectLen || len(server) > InspectLen {
				return // what is looked at of a long message is what has come
			}
			if r.clients[0].talk.Hold() != HoldNone || r.clients[0].gone {
				return // when it goes on depends on when the answers come
			}
		}
		if got[0] != got[1] {
			t.Errorf("in one piece: %s\nin two: %s", got[0], got[1])
		}
	})
}

func pieces(p []byte, at int) [][]byte {
	if at <= 0 || at >= len(p) {
		return [][]byte{p}
	}
	return [][]byte{p[:at], p[at:]}
}
