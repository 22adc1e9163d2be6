package conversation

import (
	"strings"
	"testing"

	"weir/proxy/wire"
)

// habit is what a client does again and again: its requests, and a server's answers to what comes of them.
type habit struct {
	name    string
	once    string // what it sends first, in the words of scripts, parted by ;
	request []string
	answer  []string
}

var habits = []habit{
	{"Query", "", []string{`Query "select 1"`}, []string{`RowDescription;DataRow "1";CommandComplete "SELECT 1";ReadyForQuery I`}},
	{
		"Unnamed", "",
		[]string{`Parse "" "select 1";Bind "" "";Describe P "";Execute "";Sync`},
		[]string{`ParseComplete;BindComplete;RowDescription;DataRow "1";CommandComplete "SELECT 1";ReadyForQuery I`},
	},
	{
		"Familiar", "",
		[]string{`Query "SELECT abalance FROM pgbench_accounts WHERE aid = 4711"`},
		[]string{`RowDescription;DataRow "1";CommandComplete "SELECT 1";ReadyForQuery I`},
	},
	{
		"Named", `Parse s "select 1";Sync`,
		[]string{`Bind "" s;Execute "";Sync`},
		[]string{`BindComplete;DataRow "1";CommandComplete "SELECT 1";ReadyForQuery I`},
	},
	{
		"TwoTexts", "",
		[]string{`Parse "" "select 1";Bind "" "";Execute "";Sync`, `Parse "" "select 2";Bind "" "";Execute "";Sync`},
		[]string{
			`ParseComplete;BindComplete;CommandComplete "SELECT 1";ReadyForQuery I`, `ParseComplete;BindComplete;CommandComplete "SELECT 1";ReadyForQuery I`,
		},
	},
	{
		"Transaction", `Parse s "select 1";Sync`,
		[]string{`Query "begin"`, `Bind "" s;Execute "";Sync`, `Query "commit"`},
		[]string{`CommandComplete "BEGIN";ReadyForQuery T`, `BindComplete;CommandComplete "SELECT 1";ReadyForQuery T`, `CommandComplete "COMMIT";ReadyForQuery I`},
	},
	{
		"Rebound", `Parse "" "select 1";Sync`,
		[]string{`Bind "" "";Execute "";Sync`},
		[]string{`BindComplete;CommandComplete "SELECT 1";ReadyForQuery I`},
	},
	{
		"Pipeline", `Parse s "select 1";Sync`,
		[]string{`Bind "" s;Execute "";Sync;Bind "" s;Execute "";Sync;Bind "" s;Execute "";Sync`},
		[]string{`BindComplete;CommandComplete "SELECT 1";ReadyForQuery I;BindComplete;CommandComplete "SELECT 1";ReadyForQuery I;` +
			`BindComplete;CommandComplete "SELECT 1";ReadyForQuery I`},
	},
	{
		"CopyIn", "",
		[]string{`Query "copy t from stdin"`, `CopyData "a";CopyDone`},
		[]string{`CopyInResponse`, `CommandComplete "COPY 1";ReadyForQuery I`},
	},
	{
		"Recall", `Parse s "select currval('s')";Sync`,
		[]string{`Query "select lastval()"`, `Bind "" s;Execute "";Sync`},
		[]string{`DataRow "1";CommandComplete "SELECT 1";ReadyForQuery I`, `BindComplete;DataRow "1";CommandComplete "SELECT 1";ReadyForQuery I`},
	},
	{
		"LocalSetting", "",
		[]string{`Query "begin";Query "set local work_mem = 1"`, `Query "commit"`},
		[]string{`CommandComplete "BEGIN";ReadyForQuery T;CommandComplete "SET";ReadyForQuery T`, `CommandComplete "COMMIT";ReadyForQuery I`},
	},
}

// pair is a client and a backend that are joined for each transaction and parted after it, as package relay does.
type pair struct {
	shared   Shared
	client   Client
	server   Server
	leased   bool
	toServer Flow
	toClient Flow
}

func newPair() *pair {
	p := &pair{}
	p.shared = newRig(Rules{Shares: true, MaxStatements: 10, Audit: AuditLearn}).shared
	p.server = NewServer(&p.shared, rigParams)
	p.client.Told = rigParams
	return p
}

func (p *pair) ask(bytes []byte) bool {
	if !p.leased {
		if step := p.client.FromClient(nil, bytes, &p.toServer); step.Need != NeedBackend {
			return false
		}
		p.server.Lease(&p.client)
		p.leased = true
	}
	step := p.client.FromClient(&p.server, bytes, &p.toServer)
	return step.Took == len(bytes) && step.Need == NeedBytes && len(p.toServer.Bytes()) > 0
}

func (p *pair) answer(bytes []byte) bool {
	for len(bytes) > 0 {
		step := p.server.FromServer(bytes, &p.toClient)
		if len(p.toClient.Bytes()) == 0 || step.Took == 0 {
			return false
		}
		bytes = bytes[step.Took:]
		if step.Event == EventReady && !p.settle() {
			return false
		}
	}
	return true
}

// settle does what becomes of the backend, and has it answer what weir asks.
func (p *pair) settle() bool {
	fate := p.server.Fate()
	if fate == Questioned {
		p.errand(Ask)
		fate = p.server.Fate()
	}
	if fate != Leaves {
		return true
	}
	p.server.Part()
	p.leased = false
	if p.server.Cleaning() == CleanReset {
		p.errand(Reset)
	}
	return p.server.Cleaning() == CleanNothing
}

func (p *pair) errand(e *Errand) {
	p.server.Start(e, nil)
	for p.server.Errand() != nil {
		p.server.FromServer(wire.AppendReadyForQuery(nil, wire.TxIdle), &p.toClient)
	}
}

// round plays a habit once, with bytes that are made anew in the same space: what comes from a socket may be changed.
func (p *pair) round(requests, answers [][]byte, space []byte) bool {
	ok := true
	for i := range requests {
		ok = ok && p.ask(append(space[:0], requests[i]...))
		ok = ok && p.answer(append(space[:0], answers[i]...))
	}
	return ok && !p.leased
}

func (h *habit) begin(t testing.TB) (p *pair, requests, answers [][]byte, messages int) {
	p = newPair()
	if h.name == "Rebound" {
		p.shared.Audit = AuditOff // after a question the server would have to be given the unnamed statement again
	}
	if h.once != "" {
		request, _ := encode(t, h.once, clientMessage)
		if !p.ask(request) || !p.answer(append(frame(wire.ServerParseComplete, ""), frame(wire.ServerReadyForQuery, "I")...)) {
			t.Fatal("the habit cannot begin")
		}
	}
	for i := range h.request {
		request, n := encode(t, h.request[i], clientMessage)
		answer, m := encode(t, h.answer[i], serverMessage)
		requests, answers, messages = append(requests, request), append(answers, answer), messages+n+m
	}
	return p, requests, answers, messages
}

func encode(t testing.TB, script string, message func(string) ([]byte, error)) (out []byte, n int) {
	for line := range strings.SplitSeq(script, ";") {
		p, err := message(line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p...)
		n++
	}
	return out, n
}

// TestMessagesCostNoAllocations: a client that does what it did before, on a backend that has seen it, allocates nothing.
func TestMessagesCostNoAllocations(t *testing.T) {
	for _, h := range habits {
		t.Run(h.name, func(t *testing.T) {
			p, requests, answers, _ := h.begin(t)
			space := make([]byte, 0, 4096)
			ok := true
			for range cleanEnough {
				ok = ok && p.round(requests, answers, space)
			}
			if n := testing.AllocsPerRun(200, func() { ok = ok && p.round(requests, answers, space) }); n != 0 {
				t.Errorf("%v allocations a round", n)
			}
			if !ok {
				t.Error("the round was not played to its end")
			}
		})
	}
}

func BenchmarkMessage(b *testing.B) {
	for _, h := range habits {
		b.Run(h.name, func(b *testing.B) {
			p, requests, answers, messages := h.begin(b)
			space := make([]byte, 0, 4096)
			for b.Loop() {
				if !p.round(requests, answers, space) {
					b.Fatal("the round was not played to its end")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*messages), "ns/message")
		})
	}
}

// BenchmarkRows is a result of a thousand rows in reads of 64 KiB.
func BenchmarkRows(b *testing.B) {
	p := newPair()
	p.server.Lease(&p.client)
	p.client.FromClient(&p.server, wire.AppendQuery(nil, "select 1"), &p.toServer)
	var rows []byte
	for range 1000 {
		rows = append(rows, row("forty bytes of data that stand for a row")...)
	}
	b.SetBytes(int64(len(rows)))
	for b.Loop() {
		for at := 0; at < len(rows); at += 64 << 10 {
			p.server.FromServer(rows[at:min(len(rows), at+64<<10)], &p.toClient)
		}
	}
}
