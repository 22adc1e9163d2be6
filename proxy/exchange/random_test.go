package exchange

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	seedFlag     = flag.Uint64("seed", 1, "seed of the random programs; 0 draws one")
	programsFlag = flag.Int("programs", 20_000, "number of random programs; the i-th has seed + i")
)

// operation is a step of a random program: the client sends a message, the server reads one, or an answer arrives.
type operation struct {
	kind    byte // 'c', 's', 'a'
	request request
}

// TestAccountAgreesWithServer plays random programs of a client against a simulated server whose answers take their time,
// and compares the account with the server after every message. A program that fails is printed as a script for testdata, as
// short as leaving out steps makes it.
func TestAccountAgreesWithServer(t *testing.T) {
	seed, programs := *seedFlag, *programsFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-seed %d", seed)
	if testing.Short() {
		programs /= 10
	}
	var free, tainted, gone, copies int
	for i := range uint64(programs) {
		program := randomProgram(rand.New(rand.NewPCG(seed+i, 1)))
		_, out, err := replay(program)
		if err != nil {
			program = shrink(program)
			script, _, err := replay(program)
			t.Fatalf("go test ./proxy/exchange -run %s -args -seed %d -programs 1\n\nrun\n%s----\n\n%s\n%v",
				t.Name(), seed+i, script, printFates(program), err)
		}
		switch {
		case out.gone:
			gone++
		case out.tainted:
			tainted++
		case out.free:
			free++
		}
		if out.copied {
			copies++
		}
	}
	t.Logf("%d ended free, %d tainted, %d with the connection, %d saw COPY data", free, tainted, gone, copies)
	if least := programs / 20; free < least || tainted < least || copies < least {
		t.Error("too few programs of one kind: they would prove nothing")
	}
}

// outcome is what became of a program.
type outcome struct{ free, tainted, gone, copied bool }

// randomProgram is what one client sends, and the order in which that, the server's work and the arrival of its answers
// happen. Its last operations let the server finish and come to rest.
func randomProgram(r *rand.Rand) []operation {
	var program []operation
	messages := 1 + r.IntN(24)
	eager := 1 + r.IntN(6) // how far the client runs ahead
	ask := asker{r: r}
	for range messages {
		for range r.IntN(eager) + 1 {
			program = append(program, operation{kind: 'c', request: ask.next()})
		}
		for range r.IntN(8) {
			program = append(program, operation{kind: "sa"[r.IntN(2)]})
		}
	}
	// Whatever state the server is in, these bring it to rest: both COPYs of a Query end, then the run.
	rest := make([]operation, 0, 64)
	for _, kind := range []byte("fffS") {
		rest = append(rest, operation{kind: 'c', request: request{kind: kind}})
	}
	for range 12 * messages {
		rest = append(rest, operation{kind: 's'}, operation{kind: 'a'}, operation{kind: 'a'}, operation{kind: 'a'})
	}
	return append(program, rest...)
}

// asker draws messages that often make sense together.
type asker struct {
	r     *rand.Rand
	queue []byte
}

func (a *asker) next() request {
	if len(a.queue) == 0 {
		habits := []string{
			"pbeQ", "pbePBDES", "pbeBES", "PBDES", "PBES", "PBES", "BES", "PDS", "PBE", "PBEH", "PBEQ", "PBQ", "Q", "Q", "Q", "QQQ", "F", "S", "SS", "CS",
			"Qddc", "Qddc", "Qdf", "Qdcdc", "QdSdc", "PBESdcS", "PBEdcS", "PBEddcS", "PBEdfS", "PBEHdcS", "PBEHc", "PBEdHcS", "PBEdcHPBES", "PBESHdcH", "PBEcPBEcS", "PBESdcQ", "PBEScQ", "PBEdcQ", "ESddf", "EdcS", "dc", "c", "f", "d", "H",
		}
		a.queue = []byte(habits[a.r.IntN(len(habits))])
		if a.r.IntN(6) == 0 { // the habit is broken somewhere
			a.queue[a.r.IntN(len(a.queue))] = "PBDECHSQFdcf"[a.r.IntN(12)]
		}
	}
	kind := a.queue[0]
	a.queue = a.queue[1:]
	copies := len(a.queue) > 0 && strings.ContainsRune("dcfSH", rune(a.queue[0]))
	if strings.ContainsRune("pbe", rune(kind)) { // weir's own, ahead of the client's
		kind -= 'a' - 'A'
		return request{kind: kind, fate: []fate{fateOK, fateOK, fateOK, fateOK, fateOK, fateOK, fateOK, fateError}[a.r.IntN(8)], ahead: true}
	}
	return request{kind: kind, fate: a.fate(kind, copies)}
}

func (a *asker) fate(kind byte, copies bool) fate {
	if a.r.IntN(8) == 0 {
		switch kind {
		case 'd':
			return fateBad
		case 'c', 'f', 'H':
			return fateOK
		}
		return fateError
	}
	switch {
	case copies && (kind == 'Q' || kind == 'E' && a.queue[0] != 'S' && a.queue[0] != 'H' || kind == 'E' && len(a.queue) > 1):
		if kind == 'Q' && strings.Count(string(a.queue), "c") == 2 {
			return fateTwoIn
		}
		return []fate{fateIn, fateIn, fateIn, fateIn, fateIn, fateIn, fateInDoomed, fateOK}[a.r.IntN(8)]
	case kind == 'Q':
		return []fate{fateOK, fateOK, fateEmpty, fateTwo, fateBegin, fateEnd, fateEnd, fateOut}[a.r.IntN(8)]
	case kind == 'E':
		return []fate{fateOK, fateOK, fateEmpty, fateSuspend, fateBegin, fateEnd, fateEnd, fateOut}[a.r.IntN(8)]
	case kind == 'D' && a.r.IntN(2) == 0:
		return fateEmpty
	}
	return fateOK
}

// replay runs a program and returns what happened as a script. Operations that are impossible by now are left out, so that a
// program stays one when parts of it are removed.
func replay(program []operation) (script string, out outcome, err error) {
	var b strings.Builder
	var x Exchange
	x.Reset()
	m := &model{status: 'I'}
	goesAhead := false
	for _, op := range program {
		goesAhead = op.request.ahead && !x.Skipping() && (goesAhead || op.request.kind == 'P' && x.Free()) || goesAhead && op.kind != 'c'
		switch {
		case m.gone:
			out.gone = true
			return b.String(), out, nil
		case op.request.ahead && !goesAhead:
		case op.request.ahead:
			fmt.Fprintf(&b, "ahead %c\n", op.request.kind)
			x.Ahead(1)
			op.request.asks = x.Asked()
			m.in = append(m.in, op.request)
		case op.kind == 'c':
			fmt.Fprintf(&b, "client %c\n", op.request.kind)
			before := x.Asked()
			x.Client(op.request.kind)
			if x.Asked() > before {
				op.request.asks = x.Asked()
			}
			m.in = append(m.in, op.request)
		case op.kind == 's' && len(m.in) > 0:
			m.step()
			out.copied = out.copied || m.copies > 0
			continue // nothing that the account could see
		case op.kind == 'a' && len(m.out) > 0:
			answer, completes := m.deliver()
			fmt.Fprintf(&b, "server %s\n", answer)
			if err := play(&x, "server "+answer); err != nil {
				return b.String(), out, err
			}
			if completes != 0 && x.Answered() != completes && x.Taint()&Doubt == 0 {
				return b.String(), out, fmt.Errorf("it answers message %d, the account says %d", completes, x.Answered())
			}
		default:
			continue
		}
		if err := m.judge(&x); err != nil {
			return b.String(), out, err
		}
	}
	out.free, out.tainted = x.Free(), x.Taint() != 0
	return b.String(), out, nil
}

// shrink leaves out operations as long as the program still fails.
func shrink(program []operation) []operation {
	for size := len(program) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(program); {
			shorter := slices.Concat(program[:at], program[at+size:])
			if _, _, err := replay(shorter); err != nil {
				program = shorter
			} else {
				at += size
			}
		}
	}
	return program
}

// printFates lists what the server was to do with the client's messages.
func printFates(program []operation) string {
	var words []string
	for _, op := range program {
		if op.kind == 'c' {
			words = append(words, fmt.Sprintf("%c=%s", op.request.kind, fateNames[op.request.fate]))
		}
	}
	return strings.Join(words, " ")
}
