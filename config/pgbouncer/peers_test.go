package pgbouncer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Peers are PgBouncers until the operator says otherwise: reached without TLS, and with keys that they understand. The section may be
// before or after [pgbouncer], and have one's own id.
func TestPeersAreTranslated(t *testing.T) {
	const general = "[pgbouncer]\nlisten_addr=*\nauth_type=trust\n"
	for text, want := range map[string]string{
		general + "peer_id=2\n[peers]\n1 = host=a\n2 = host=b port=6433\n3=host=/run/c pool_size=5": "" +
			"2: 1={a 6432 0 disable true} 2={b 6433 0 disable true} 3={/run/c 6432 5 disable true}",
		"[peers]\n1=host=a\n1=host=b\n" + general + "peer_id=2":               "2: 1={b 6432 0 disable true}",
		general + "[peers]\n1=host=a":                                         "0: f.ini:5: peer 1 is left out: without peer_id no cancel request is passed on",
		general + "peer_id=1\n[peers]\n20000=host=a\n2=host=b pool_size=5000": "1: 2={b 6432 1000 disable true} f.ini:6: peer 20000 is left out: ids end at 16383",
		general + "peer_id=-1":                                                "0:",
	} {
		r, err := translateText(t, text)
		if err != nil || r.Unfit != nil {
			t.Errorf("%q: %v %v", text, err, r.Unfit)
			continue
		}
		got := fmt.Sprintf("%v:", r.Config.Listen.PeerID)
		for _, name := range slices.Sorted(maps.Keys(r.Config.Peers)) {
			got += fmt.Sprintf(" %s=%v", name, r.Config.Peers[name])
		}
		for _, n := range r.Notes {
			if strings.Contains(n.Text, "peer") {
				got += " " + n.String()
			}
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}
