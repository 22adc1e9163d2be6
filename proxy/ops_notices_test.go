package proxy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// TestNoticesOfABackendsLoginGoToTheLog: they are about weir's login, so a client never sees them.
func TestNoticesOfABackendsLoginGoToTheLog(t *testing.T) {
	warning := said(t, &pgproto3.NoticeResponse{Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: "01000", Message: "role password will expire soon"})
	d := database(t)
	g := newGate(t, d.Server.Addr(), nil)
	g.greeting = slices.Repeat(warning, 3)
	w := start(t, d, serverAt(g.listener.Addr().String())+"[pool]\nmode = \"session\"\n[server_tls]\nsslmode = \"disable\"")
	for i := range 5 {
		c := enter(t, w, d)
		c.expectOwnAnswer(fmt.Sprint("own ", i))
	}
	eventuallyLogged(t, w, "level=WARN", "server's notice during a login", "severity=WARNING", "sqlstate=01000", `notice="role password will expire soon"`)
}

// TestReplicationClientSeesNoNoticeOfItsBackendsLogin: there the backend's login is nearest to the client.
func TestReplicationClientSeesNoNoticeOfItsBackendsLogin(t *testing.T) {
	warning := said(t, &pgproto3.NoticeResponse{Severity: "WARNING", Code: "01000", Message: "not yours"})
	d := database(t)
	g := newGate(t, d.Server.Addr(), nil)
	g.greeting = warning
	w := start(t, d, serverAt(g.listener.Addr().String())+"[server_tls]\nsslmode = \"disable\"")
	c := enter(t, w, d, "replication", "database")
	c.expectOwnAnswer("own")
	eventuallyLogged(t, w, "notice=\"not yours\"")
}
