package conversation

import (
	"bytes"
	"strings"
	"testing"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// What a client is given back costs weir memory in proportion to what the client sends, or little: a short text may reset all a thousand times,
// and one statement that does may be run as often.
func TestWhatIsGivenBackIsBounded(t *testing.T) {
	const value = 4 * 7900 // as a literal
	for _, c := range []struct {
		name        string
		sent        []byte
		least, most int
	}{
		{"text", wire.AppendQuery(nil, strings.Repeat("RESET ALL;", 2)), 2 * value, 3 * value},
		{"long text", wire.AppendQuery(nil, strings.Repeat("RESET ALL;", 1500)), InspectLen / 2, InspectLen + givenTextMost},
		{"pipeline", append(wire.AppendParse(nil, "", "RESET ALL", nil), bytes.Repeat(wire.AppendExecute(wire.AppendBind(nil, nil)), 3000)...), 2 * value, owedMax / 4 * value},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair()
			login, err := p.shared.Settings.Intern([]session.Setting{{Name: "app.x", Value: strings.Repeat("\x01", 7900)}})
			if err != nil {
				t.Fatal(err)
			}
			p.client = NewClient(login, p.shared.Settings)
			p.client.Told = rigParams
			p.client.FromClient(nil, c.sent, &p.toServer)
			p.server.Lease(&p.client)
			p.server.apply(login)
			p.client.FromClient(&p.server, c.sent, &p.toServer)
			if got := len(p.toServer.Bytes()); got < c.least || got > c.most {
				t.Errorf("%d bytes become %d, want %d to %d", len(c.sent), got, c.least, c.most)
			}
		})
	}
}
