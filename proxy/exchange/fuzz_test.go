package exchange

import (
	"testing"

	"weir/proxy/wire"
)

// FuzzExchange enters any messages in any order: odd bytes are the client's. The counts stay within what was asked for, and
// an account never says free while something is due.
func FuzzExchange(f *testing.F) {
	for _, seed := range []string{"QCZI", "PBES12CZI", "PBESdcSGCZI", "QdcQGEZI", "PEZI", "cfSGGZTZEZ\xff"} {
		var p []byte
		for _, b := range []byte(seed) {
			p = append(p, 1, b, 0, b)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var x Exchange
		x.Reset()
		sent := 0
		for ; len(p) >= 2; p = p[2:] {
			switch who, b := p[0], p[1]; {
			case who&1 == 1:
				sent++
				x.Client(b)
			case who&2 == 2:
				x.Ready(wire.TxStatus(b))
			default:
				x.Server(b)
			}
			check(t, &x, sent)
		}
	})
}

// check holds what is true after every message.
func check(t *testing.T, x *Exchange, sent int) {
	t.Helper()
	due := int(x.open)
	for i := range x.count {
		due += int(x.at(i).due)
		if x.at(i).end.answered() {
			due++
		}
	}
	switch {
	case uint64(due) != x.owed || x.Answered() > x.Asked():
		t.Fatalf("%d completions are due, counted %d; %d of %d answered", due, x.owed, x.Answered(), x.Asked())
	case due > sent || x.Len()+due > 2*sent:
		t.Fatalf("%d completions and %d ends are due for %d messages", due, x.Len(), sent)
	case int(x.count) > len(x.ring) || len(x.ring)&(len(x.ring)-1) != 0:
		t.Fatalf("%d segments in a ring of %d", x.count, len(x.ring))
	case x.Due() < 0 || x.Due() > x.Len():
		t.Fatalf("%d due of %d segments", x.Due(), x.Len())
	case x.open > 0 && !x.opened:
		t.Fatal("messages in no run")
	case x.skipping && (x.count > 0 || x.opened):
		t.Fatal("skipping, although the account holds what is to come")
	case x.count > 0 && x.at(0).end == endCopy && x.at(0).due == 0:
		t.Fatal("the end of COPY data stands at the front, where the server has passed it")
	case x.Free() && (x.Due() > 0 || due > 0 || x.Unended() || x.Skipping() || x.Copying() != CopyNone):
		t.Fatal("free with something due")
	}
}

// TestMessagesAllocateNothing holds once the ring has grown to what the client's habits need.
func TestMessagesAllocateNothing(t *testing.T) {
	for _, script := range [][]string{
		{"client Q", "server C Z:I"},
		{"client P B D E S", "server 1 2 T C Z:I"},
		{"client P B D E S P B D E S P B D E S", "server 1 2 T C Z:I 1 2 T E Z:I 1 2 T C Z:I"},
		{"client P B E S d c S", "server 1 2 G C Z:I"},
		{"client Q d c Q d c Q", "server G C Z:I G E Z:I C Z:I"},
	} {
		var x Exchange
		x.Reset()
		n := testing.AllocsPerRun(100, func() {
			for _, line := range script {
				enter(&x, line)
			}
		})
		if n != 0 || !x.Free() || x.Taint() != 0 {
			t.Errorf("%v: %v allocations, %s", script, n, describe(&x))
		}
	}
}

// enter is play without allocations of its own.
func enter(x *Exchange, line string) {
	who, messages := line[0], line[len("client "):]
	for i := 0; i < len(messages); i++ {
		switch b := messages[i]; {
		case b == ' ':
		case who == 'c':
			x.Client(b)
		case b == wire.ServerReadyForQuery:
			x.Ready(wire.TxStatus(messages[i+2]))
			i += 2
		default:
			x.Server(b)
		}
	}
}

// TestResetForgetsLargeRing keeps one deep pipeline from costing memory for the rest of the backend's life.
func TestResetForgetsLargeRing(t *testing.T) {
	var x Exchange
	for _, c := range []struct{ queries, kept int }{{ringKept, ringKept}, {ringKept + 1, 0}} {
		x.Reset()
		for range c.queries {
			x.Client(wire.ClientQuery)
		}
		x.Reset()
		if len(x.ring) != c.kept || !x.Free() || x.Len() != 0 {
			t.Errorf("after %d queries and a Reset: a ring of %d, %s", c.queries, len(x.ring), describe(&x))
		}
	}
}

// BenchmarkPipelineBehindCopy is the costly case: each COPY looks at what stands behind it. It must not look at all of it.
func BenchmarkPipelineBehindCopy(b *testing.B) {
	var x Exchange
	x.Reset()
	for range 4096 {
		enter(&x, "client Q d c")
	}
	for b.Loop() {
		enter(&x, "server G C Z:I")
		enter(&x, "client Q d c")
	}
}
