package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

// guarded is a database of a server that asks everybody for SCRAM. Its users are asker, who may look others up, app ("right")
// and expired ("right", but no longer).
func guarded(t *testing.T, opts ...pgserver.Options) *pgserver.Database {
	t.Helper()
	o := pgserver.Options{}
	if len(opts) > 0 {
		o = opts[0]
	}
	o.Auth = "scram-sha-256"
	d := privateServerWith(t, o, "shop")
	d.Exec(t, "CREATE ROLE asker SUPERUSER LOGIN PASSWORD 'ask'", "CREATE ROLE app LOGIN PASSWORD 'right'",
		"CREATE ROLE expired LOGIN PASSWORD 'right' VALID UNTIL '2001-01-01'")
	return d
}

const asksForUsers = `
[auth]
type = "scram-sha-256"
auth_user = "asker"
auth_query_lifetime = "10m"
[users.asker]
password = "ask"
`

// logInAs logs in through weir, and returns the SQLSTATE of the refusal, or whom the server sees.
func logInAs(t *testing.T, w *weirUnderTest, d *pgserver.Database, user, password string, params ...string) string {
	t.Helper()
	q := url.Values{"sslmode": {"disable"}}
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	at := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: w.Addr, Path: d.Name, RawQuery: q.Encode()}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgconn.Connect(ctx, at.String())
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal.Code + " " + refusal.Message
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	seen, err := tryAsk(c, "SELECT session_user")
	if err != nil {
		return err.Error()
	}
	return seen
}

func verifierOf(t *testing.T, d *pgserver.Database, role string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgconn.Connect(ctx, d.DSN("asker", "ask"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	return ask(t, c, "SELECT rolpassword FROM pg_authid WHERE rolname = '"+role+"'")
}

// TestUsersAreLookedUpAndPassedThrough: weir is told one password, that of auth_user. Everybody else's it learns to use from
// their own logins, for a server that asks for SCRAM as well.
func TestUsersAreLookedUpAndPassedThrough(t *testing.T) {
	d := guarded(t)
	w := start(t, d, asksForUsers)
	for _, c := range []struct{ user, password, want string }{
		{"app", "right", "app"},
		{"app", "wrong", `28P01 password authentication failed for user "app"`},
		{"expired", "right", `28P01 password authentication failed for user "expired"`},
		{"nobody", "right", `28P01 password authentication failed for user "nobody"`},
		{"asker", "ask", "asker"},
	} {
		if got := logInAs(t, w, d, c.user, c.password); got != c.want {
			t.Errorf("%s with %q: %s, want %s", c.user, c.password, got, c.want)
		}
	}
	// Four of these logins looked somebody up, and three looked again when they had failed: on a server, unless the answer was fresh.
	got := w.Proxy.Snapshot().Lookups
	if got.Kept < 1 || got.Found < 2 || got.Unknown < 1 || got.Failed != 0 || got.Kept+got.Found+got.Unknown != 7 {
		t.Errorf("lookups %+v, want seven, of which app and expired were found, nobody was unknown, and app was known the second time", got)
	}
}

// TestLookupIsNotLedAstray: what a client sets for its session changes nothing in the one in which users are looked up.
func TestLookupIsNotLedAstray(t *testing.T) {
	d := guarded(t)
	stolen := verifierOf(t, d, "app")
	d.Exec(t, "CREATE SCHEMA evil", "GRANT USAGE ON SCHEMA evil TO public",
		"CREATE TABLE evil.pg_authid AS SELECT rolname, rolcanlogin, '"+stolen+"'::text AS rolpassword, NULL::timestamptz AS rolvaliduntil FROM pg_catalog.pg_authid",
		"GRANT SELECT ON evil.pg_authid TO public", "ALTER ROLE asker SET search_path = evil", "CREATE ROLE victim LOGIN PASSWORD 'secret'")
	w := start(t, d, asksForUsers)
	if got := logInAs(t, w, d, "victim", "right", "search_path", "evil", "options", "-c search_path=evil"); !strings.HasPrefix(got, "28P01") {
		t.Errorf("with another's password: %s", got)
	}
	if got := logInAs(t, w, d, "victim", "secret", "search_path", "evil"); got != "victim" {
		t.Errorf("with its own: %s", got)
	}
}

// TestChangedPasswordIsNoticed although what was looked up could be used for long: the failed login has it looked up anew.
func TestChangedPasswordIsNoticed(t *testing.T) {
	d := guarded(t)
	w := start(t, d, asksForUsers+"[timeouts]\nserver_login_retry = \"100ms\"\n")
	if got := logInAs(t, w, d, "app", "right"); got != "app" {
		t.Fatal(got)
	}
	d.Exec(t, "ALTER ROLE app PASSWORD 'new'", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
	eventually(t, func() string {
		time.Sleep(200 * time.Millisecond) // an answer is refreshed once a second at most
		if got := logInAs(t, w, d, "app", "new"); got != "app" {
			return got
		}
		return ""
	})
	if got := logInAs(t, w, d, "app", "right"); !strings.HasPrefix(got, "28P01") {
		t.Errorf("with the old password: %s", got)
	}
}

func TestUserlistOfPgBouncer(t *testing.T) {
	d := guarded(t)
	list := filepath.Join(t.TempDir(), "userlist.txt")
	text := fmt.Sprintf("; of PgBouncer\n\"app\" %q\n\"asker\" \"ask\" comment\n", verifierOf(t, d, "app"))
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, d, fmt.Sprintf("[auth]\ntype = \"scram-sha-256\"\nauth_file = %q\n", list))
	for user, password := range map[string]string{"app": "right", "asker": "ask"} {
		if got := logInAs(t, w, d, user, password); got != user {
			t.Errorf("%s: %s", user, got)
		}
	}
	if got := logInAs(t, w, d, "app", "ask"); !strings.HasPrefix(got, "28P01") {
		t.Errorf("with another's password: %s", got)
	}
}

// TestFirstLoginOpensThePool: a pool that wants backends before any client has come cannot log in with a verifier alone. Whoever
// comes first brings the key, and is not told of the failures before.
func TestFirstLoginOpensThePool(t *testing.T) {
	d := guarded(t)
	w := start(t, d, fmt.Sprintf(`
[auth]
type = "scram-sha-256"
[users.app]
password = %q
[databases.shop]
host = "127.0.0.1"
port = %d
user = "app"
min_pool_size = 1
`, verifierOf(t, d, "app"), d.Server.Port()))
	eventuallyLogged(t, w, "whose key no client's login has shown yet")
	if got := logInAs(t, w, d, "app", "right"); got != "app" {
		t.Errorf("the first login: %s", got)
	}
}

// TestLackOfCredentialsIsExplained: with trust nobody proves anything, so weir learns nothing that the server would take.
func TestLackOfCredentialsIsExplained(t *testing.T) {
	d := guarded(t)
	w := start(t, d, "[timeouts]\nserver_login_retry = \"100ms\"\n")
	if got := logInAs(t, w, d, "app", ""); !strings.HasPrefix(got, "28000 weir cannot log in to the server at 127.0.0.1:") {
		t.Error(got)
	}
	eventuallyLogged(t, w, `weir has no password of user \"app\"`)
}

// TestLookupThatFailsIsNoWrongPassword: the client learns that it is not to blame, the log why.
func TestLookupThatFailsIsNoWrongPassword(t *testing.T) {
	d := guarded(t)
	w := start(t, d, strings.Replace(asksForUsers, `password = "ask"`, `password = "no longer"`, 1))
	if got := logInAs(t, w, d, "app", "right"); got != "57P03 authentication is not possible at present" {
		t.Error(got)
	}
	eventuallyLogged(t, w, "login failed", "reason=lookup_failed", "password rejected (28P01)")
}

// TestRulesOfPgHBA: the same file as PostgreSQL's decides who may come in, and how.
func TestRulesOfPgHBA(t *testing.T) {
	d := guarded(t)
	dir := t.TempDir()
	rules := "local all all peer map=os\nhost shop app 127.0.0.1/32 scram-sha-256\nhost all expired 127.0.0.1/32 reject\n"
	for name, text := range map[string]string{"pg_hba.conf": rules, "pg_ident.conf": "os root app\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := start(t, d, fmt.Sprintf(`
[listen]
addresses = ["127.0.0.1:0"]
unix_socket_dir = %q
[auth]
type = "hba"
hba_file = %q
ident_file = %q
[users.app]
password = "right"
`, dir, filepath.Join(dir, "pg_hba.conf"), filepath.Join(dir, "pg_ident.conf")))
	for user, want := range map[string]string{
		"app":     "app",
		"expired": `28000 pg_hba.conf rejects connection for host "127.0.0.1", user "expired", database "shop", no encryption`,
		"asker":   `28000 no pg_hba.conf entry for host "127.0.0.1", user "asker", database "shop", no encryption`,
	} {
		if got := logInAs(t, w, d, user, "right"); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
	if os.Getuid() != 0 {
		return // the map lets root in
	}
	_, port, _ := strings.Cut(w.Addr, ":")
	for user, want := range map[string]string{"app": "app", "asker": "peer authentication failed"} {
		c, err := pgconn.Connect(context.Background(), fmt.Sprintf("host=%s port=%s user=%s dbname=shop", dir, port, user))
		got := fmt.Sprint(err)
		if err == nil {
			got = ask(t, c, "SELECT session_user")
			_ = c.Close(context.Background())
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s over the socket: %s, want %s", user, got, want)
		}
	}
}
