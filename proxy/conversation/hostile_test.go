package conversation

import (
	"fmt"
	"testing"

	"weir/proxy/wire"
)

// What a server may say that none should, and what would cost everybody on its loop.

func TestParametersOfAServerAreBounded(t *testing.T) {
	p := newPair()
	if !p.ask(wire.AppendQuery(nil, "select 1")) {
		t.Fatal("the request does not reach the server")
	}
	taken := len(rigParams)
	for i := range 2 * wire.MaxReported {
		step := p.server.FromServer(wire.AppendParameterStatus(nil, fmt.Sprintf("p%d", i), "x"), &p.toClient)
		if step.Event == EventNonsense {
			break
		}
		taken++
	}
	if taken != wire.MaxReported || len(p.server.Params()) != wire.MaxReported {
		t.Errorf("%d parameters were taken, and %d kept, of at most %d", taken, len(p.server.Params()), wire.MaxReported)
	}
	same := wire.AppendParameterStatus(nil, "p0", "y")
	if step := p.server.FromServer(same, &p.toClient); step.Event != EventNone {
		t.Errorf("another value of a known parameter: %q", step.Doubt)
	}
}

func TestReadyForQueryThatNobodyHasAskedForIsNonsense(t *testing.T) {
	p := newPair()
	ready := wire.AppendReadyForQuery(nil, wire.TxIdle)
	if step := p.server.FromServer(ready, &p.toClient); step.Event != EventNonsense {
		t.Errorf("to a backend without a client: event %d", step.Event)
	}
	p = newPair()
	p.server.Start(Check, nil)
	if step := p.server.FromServer(append(ready, ready...), &p.toClient); step.Event != EventErrand || step.Took != len(ready) {
		t.Errorf("the answer to an errand: event %d", step.Event)
	}
	if step := p.server.FromServer(ready, &p.toClient); step.Event != EventNonsense {
		t.Errorf("behind the answer to an errand: event %d", step.Event)
	}
}
