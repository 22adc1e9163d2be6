package proxy_test

import (
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// What a client that is gone has left unended is ended for it, so that its backend serves others at once rather than when a
// patience has run out.
func TestBackendOutlivesWhatItsClientLeftUnended(t *testing.T) {
	for name, left := range map[string][]pgproto3.FrontendMessage{
		"an error that nobody ends with a Sync": {
			&pgproto3.Query{String: "SELECT pg_sleep(0.3)"},
			&pgproto3.Parse{Query: "selec 1"}, &pgproto3.Bind{}, &pgproto3.Query{String: "SELECT 2"},
		},
		"a COPY that nobody feeds": {
			&pgproto3.Query{String: "SELECT pg_sleep(0.3)"},
			&pgproto3.Query{String: "COPY fed FROM STDIN"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, "CREATE TABLE fed (n int)")
			w := start(t, d, "[pool]\npool_size = 1\n[timeouts]\nquery_wait_timeout = \"10s\"\n")
			gone := dial(t, w.Addr, d.Server.Superuser(), d.Name)
			next := dial(t, w.Addr, d.Server.Superuser(), d.Name)
			gone.Send(left...)
			expectActive(t, w, 1)
			gone.Terminate()
			if got := next.Query("SELECT 'served'"); got != "served" {
				t.Errorf("the next client got %q", got)
			}
		})
	}
}
