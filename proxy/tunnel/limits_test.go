package tunnel

import (
	"io"
	"testing"
	"time"
)

func (e *ends) broke(want BreachKind) (b Breach) {
	e.t.Helper()
	select {
	case b = <-e.breach:
	case <-time.After(20 * time.Second):
		e.t.Fatal("no limit was met")
	}
	if b.Kind != want {
		e.t.Errorf("broke limit %d, want %d", b.Kind, want)
	}
	return b
}

func TestMessageOfTheClientThatIsTooLongDoesNotReachTheServer(t *testing.T) {
	e := openWith(t, Limits{PacketMax: 9}, "", "")
	e.say(e.client, message+"d\x00\x00\x00\x09data!"+message)
	e.hear(e.backend, message)
	e.hear(e.client, "farewell")
	if b := e.broke(ClientPacket); b.Frame.Total() != 10 || b.Limits.PacketMax != 9 {
		t.Errorf("%+v", b)
	}
	e.over(e.client)
	_, _ = io.Copy(io.Discard, e.backend)
	_ = e.client.Close()
	e.ended()
}

func TestMessageOfTheServerThatIsTooLongDoesNotReachTheClient(t *testing.T) {
	e := openWith(t, Limits{PacketMax: 9}, "", "")
	e.say(e.backend, message+"d\x00\x00\x00\x09data!")
	e.hear(e.client, message+"farewell")
	e.broke(ServerPacket)
	e.over(e.client)
	_ = e.client.Close()
	e.ended()
}

// TestLongMessageWhoseHeaderIsCut: a client that has a part of it is told nothing, because that would look like the rest.
func TestLongMessageWhoseHeaderIsCut(t *testing.T) {
	e := openWith(t, Limits{PacketMax: 9}, "", "")
	e.say(e.backend, "d\x00")
	e.hear(e.client, "d\x00")
	e.say(e.backend, "\x00\x00\x09data!")
	e.broke(ServerPacket)
	e.over(e.client)
	_ = e.client.Close()
	e.ended()
}

// TestClientThatTakesNothingIsLeft, also by a limit that came while it stood still.
func TestClientThatTakesNothingIsLeft(t *testing.T) {
	for name, c := range map[string]struct{ first, then Limits }{
		"from the start": {first: Limits{Stall: 200 * time.Millisecond}, then: Limits{Stall: 200 * time.Millisecond}},
		"since a reload": {then: Limits{Stall: 200 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			e := openWith(t, c.first, "", "")
			go func() {
				for { // until the tunnel has closed it
					if _, err := io.WriteString(e.backend, message); err != nil {
						return
					}
				}
			}()
			e.hear(e.client, message)
			e.tunnel.SetLimits(c.then)
			if b := e.broke(ClientStall); b.Lasted < b.Limits.Stall {
				t.Errorf("after %s of %s", b.Lasted, b.Limits.Stall)
			}
			e.ended()
		})
	}
}
