package proxy_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/faultnet"
	"weir/internal/pgserver"
	"weir/proxy/status"
)

// TestDatabaseOfLookups: one that is configured and not there is the operator's mistake, and nobody's password is wrong for it; one
// that a stranger makes up has no users, and he does not learn that it is not there.
func TestDatabaseOfLookups(t *testing.T) {
	d := guarded(t)
	elsewhere := &pgserver.Database{Server: d.Server, Name: "made_up"}
	w := start(t, d, asksForUsers)
	if got := logInAs(t, w, elsewhere, "app", "right"); got != `28P01 password authentication failed for user "app"` {
		t.Errorf("in a database that is not there: %s", got)
	}
	w.Stop()
	w = start(t, d, strings.Replace(asksForUsers, "auth_user", "auth_dbname = \"misspelled\"\nauth_user", 1))
	if got := logInAs(t, w, d, "app", "right"); got != "57P03 authentication is not possible at present" {
		t.Errorf("where auth_dbname is not there: %s", got)
	}
	eventuallyLogged(t, w, "login failed", "reason=lookup_failed", `database \"misspelled\" does not exist`)
}

// TestLookupsSurviveTheirServer: while the database of the lookups is away, logins that need it are told so, others go on, and
// clients that are in stay in; when it is back, so are they.
func TestLookupsSurviveTheirServer(t *testing.T) {
	d := guarded(t)
	away := faultnet.New(t, "tcp", d.Server.Addr())
	host, port, _ := strings.Cut(away.Addr(), ":")
	w := start(t, d, strings.Replace(asksForUsers, "10m", "0s", 1)+fmt.Sprintf(`
[databases.directory]
host = %q
port = %s
dbname = "postgres"
[databases.shop]
host = "127.0.0.1"
port = %d
auth_dbname = "directory"
`, host, port, d.Server.Port()))
	if got := logInAs(t, w, d, "app", "right"); got != "app" {
		t.Fatal(got)
	}
	inside, err := pgconn.Connect(context.Background(), fmt.Sprintf("postgres://app:right@%s/shop?sslmode=disable", w.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inside.Close(context.Background()) }()
	if err := away.SetMode(faultnet.Refuse); err != nil {
		t.Fatal(err)
	}
	away.Cut()
	for range 3 {
		if got := logInAs(t, w, d, "app", "right"); got != "57P03 authentication is not possible at present" {
			t.Errorf("while it is away: %s", got)
		}
	}
	if got := logInAs(t, w, d, "asker", "ask"); got != "asker" {
		t.Errorf("a user that the configuration knows: %s", got)
	}
	if got := ask(t, inside, "SELECT session_user"); got != "app" {
		t.Errorf("who is in already: %s", got)
	}
	if err := away.SetMode(faultnet.Forward); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if got := logInAs(t, w, d, "app", "right"); got != "app" {
			return got
		}
		return ""
	})
}

// TestPoolsLookUpWhatNoLoginShows: with trust no login shows what is stored for its user. The pool asks for it, and asks again when
// the server takes it no more, while its clients stay.
func TestPoolsLookUpWhatNoLoginShows(t *testing.T) {
	d := guarded(t)
	d.Exec(t, "CREATE TABLE passwords (name text, password text)", "INSERT INTO passwords VALUES ('app', 'right'), ('expired', 'right')")
	w := start(t, d, strings.Replace(asksForUsers, `"scram-sha-256"`, `"trust"
auth_query = "SELECT name, password FROM public.passwords WHERE name = $1"`, 1))
	c, err := pgconn.Connect(context.Background(), fmt.Sprintf("postgres://app@%s/shop?sslmode=disable", w.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if got := ask(t, c, "SELECT session_user"); got != "app" {
		t.Errorf("the server sees %s", got)
	}
	d.Exec(t, "ALTER ROLE app PASSWORD 'new'", "UPDATE passwords SET password = 'new'",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
	expectPool(t, w, "without backends", func(p status.Pool) bool { return backendCount(p) == 0 })
	eventually(t, func() string { // an answer is refreshed once a second at most
		got, err := tryAsk(c, "SELECT session_user")
		if c.IsClosed() {
			t.Fatalf("the client was sent away: %v", err)
		}
		if got != "app" {
			return fmt.Sprint(got, err)
		}
		return ""
	})
	if got := logInAs(t, w, d, "expired", ""); got != `28P01 password authentication failed for user "expired"` {
		t.Errorf("a password that the server does not take: %s", got)
	}
}

// TestLookupFunctionOfTheDocs runs what docs/authentication.md gives to copy: a role that is no superuser looks users up.
func TestLookupFunctionOfTheDocs(t *testing.T) {
	d := guarded(t)
	page, err := os.ReadFile("../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```sql\n")
	sql, rest, closed := strings.Cut(rest, "```")
	_, rest, toml := strings.Cut(rest, "```toml\n")
	query, _, ended := strings.Cut(rest, "```")
	if !found || !closed || !toml || !ended || !strings.HasPrefix(query, "auth_query = ") {
		t.Fatal("the page has no function, or no query behind it")
	}
	d.Exec(t, strings.ReplaceAll(sql, "'...'", "'ask'"), "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'right'")
	w := start(t, d, "[auth]\nauth_user = \"weir\"\n"+query+"[users.weir]\npassword = \"ask\"\n")
	for user, want := range map[string]string{"app": "app", "expired": "28P01", "boss": "28P01", "nobody": "28P01"} {
		if got := logInAs(t, w, d, user, "right"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
}

// TestHashesServeServersThatAskForMD5: from a userlist.txt and from pg_authid, towards clients and the server alike.
func TestHashesServeServersThatAskForMD5(t *testing.T) {
	d := privateServerWith(t, pgserver.Options{Auth: "md5", Settings: map[string]string{"password_encryption": "md5"}}, "shop")
	const odd = `o'"d \ user`
	d.Exec(t, "CREATE ROLE asker SUPERUSER LOGIN PASSWORD 'ask'", "CREATE ROLE app LOGIN PASSWORD 'right'",
		`CREATE ROLE "o'""d \ user" LOGIN PASSWORD 'a "quoted" one'`)
	list := filepath.Join(t.TempDir(), "userlist.txt")
	text := fmt.Sprintf("\"asker\" %q\n\"o'\"\"d \\ user\" \"a \"\"quoted\"\" one\"\n", verifierOf(t, d, "asker"))
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, d, fmt.Sprintf("[auth]\ntype = \"md5\"\nauth_file = %q\nauth_user = \"asker\"\n", list))
	for _, c := range []struct{ user, password, want string }{
		{"asker", "ask", "asker"},          // a hash in the file
		{"app", "right", "app"},            // a hash in pg_authid, found with the one of asker
		{odd, `a "quoted" one`, odd},       // a password in the file
		{"app", "wrong", "28P01"},          //
		{"asker", "wrong", "28P01"},        //
		{odd, `a ""quoted"" one`, "28P01"}, //
		{"nobody", "right", "28P01"},       //
	} {
		if got := logInAs(t, w, d, c.user, c.password); got != c.want && !(c.want == "28P01" && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s with %q: %s, want %s", c.user, c.password, got, c.want)
		}
	}
}
