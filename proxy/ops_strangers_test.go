package proxy_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

// stranger sees what weir, or PostgreSQL, says of a user before it has proved anything. It never proves anything.
func stranger(t *testing.T, addr, user, database string) (mechanisms, challenge string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	say := func(text string) string {
		t.Helper()
		if _, err := io.WriteString(nc, text); err != nil {
			t.Fatal(err)
		}
		header := make([]byte, 5)
		if _, err := io.ReadFull(nc, header); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
		if _, err := io.ReadFull(nc, body); err != nil {
			t.Fatal(err)
		}
		return string(header[:1]) + string(body)
	}
	counted := func(prefix, body string) string {
		return prefix + string(binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))) + body
	}
	mechanisms = say(counted("", "\x00\x03\x00\x00user\x00"+user+"\x00database\x00"+database+"\x00\x00"))
	if !strings.Contains(mechanisms, "SCRAM-SHA-256") {
		return mechanisms, ""
	}
	const first = "n,,n=,r=abc"
	challenge = say(counted("p", "SCRAM-SHA-256\x00\x00\x00\x00"+string(rune(len(first)))+first))
	_, challenge, _ = strings.Cut(challenge, ",s=")
	return mechanisms, "s=" + challenge
}

// TestStrangerSeesTheSameAfterARestartAndOnAReplica: the salts of users that do not exist, and of those with a password in clear text,
// are as lasting as those of users with a verifier.
func TestStrangerSeesTheSameAfterARestartAndOnAReplica(t *testing.T) {
	d := guarded(t)
	toml := fmt.Sprintf("[auth]\ntype = \"md5\"\n[users.real]\npassword = %q\n[users.app]\npassword = %q\n", verifierOf(t, d, "asker"), verifierOf(t, d, "app"))
	seen := map[string]string{}
	for range 2 {
		w := start(t, d, toml)
		for _, user := range []string{"real", "app", "nobody", "somebody"} {
			mechanisms, challenge := stranger(t, w.Addr, user, d.Name)
			if got := mechanisms + challenge; seen[user] == "" {
				seen[user] = got
			} else if got != seen[user] {
				t.Errorf("%s sees %q, and before %q", user, got, seen[user])
			}
			if len(seen[user]) != len(seen["real"]) || user != "real" && seen[user] == seen["real"] {
				t.Errorf("%s sees %q, a user that exists %q", user, seen[user], seen["real"])
			}
		}
		w.Stop()
	}
}

// lookedUpSlowly has users looked up with a query that takes so long.
func lookedUpSlowly(t *testing.T, d *pgserver.Database, takes time.Duration) string {
	d.Exec(t, fmt.Sprintf(`CREATE FUNCTION public.slowly(name text, OUT u text, OUT p text) LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		PERFORM pg_sleep(%g); SELECT rolname, rolpassword INTO u, p FROM pg_authid WHERE rolname = name; END $$`, takes.Seconds()))
	return strings.Replace(asksForUsers, "[users.asker]", "auth_query = \"SELECT u, p FROM public.slowly($1)\"\n[users.clerk]\npassword = \"right\"\n[users.asker]", 1)
}

// TestLoginThatSucceedsIsNotSlowedByLookups: answers that are kept, and users that need none, come at once to who has logged in before.
// A stranger's time for the first question is that of a lookup all the same: shown by users who have not logged in.
func TestLoginThatSucceedsIsNotSlowedByLookups(t *testing.T) {
	const takes = 400 * time.Millisecond // more than any login here takes
	d := guarded(t)
	d.Exec(t, "CREATE ROLE clerk LOGIN PASSWORD 'right'")
	w := start(t, d, lookedUpSlowly(t, d, takes))
	fastest := func(do func()) time.Duration {
		least := time.Hour
		for range 5 {
			begun := time.Now()
			do()
			least = min(least, time.Since(begun))
		}
		return least
	}
	if got := fastest(func() { stranger(t, w.Addr, "clerk", d.Name) }); got < takes/2 {
		t.Errorf("a user of the configuration is told by %v, where a lookup takes %v", got, takes)
	}
	for _, user := range []string{"app", "clerk"} {
		if got := fastest(func() {
			if got := logInAs(t, w, d, user, "right"); got != user {
				t.Fatal(got)
			}
		}); got >= takes {
			t.Errorf("%s: each login takes %v or more, and a lookup %v", user, got, takes)
		}
	}
	if got := fastest(func() { stranger(t, w.Addr, "asker", d.Name) }); got < takes/2 {
		t.Errorf("a user that has not logged in is told by %v, where a lookup takes %v", got, takes)
	}
}

// TestOwnerOfADatabaseDoesNotAnswerForItsUsers: with [databases."*"] a client may name a database whose owner has put up the function that
// auth_query calls. It is not called there, and the log says why; in a database where only superusers create anything it is.
func TestOwnerOfADatabaseDoesNotAnswerForItsUsers(t *testing.T) {
	d := guarded(t)
	d.Exec(t, "CREATE ROLE mallory LOGIN PASSWORD 'right'", "REVOKE CREATE ON SCHEMA public FROM public", "CREATE DATABASE hers OWNER mallory")
	function := func(stored string) string {
		return `CREATE FUNCTION public.lookup(name text, OUT u text, OUT p text) LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN u := name; p := ` + stored + `; END $$`
	}
	d.Exec(t, function("(SELECT rolpassword FROM pg_authid WHERE rolname = name)"))
	hers := &pgserver.Database{Server: d.Server, Name: "hers"}
	hers.Exec(t, "CREATE TABLE as_whom (who text)", "ALTER TABLE as_whom OWNER TO mallory", "GRANT ALL ON as_whom TO public",
		`CREATE FUNCTION public.lookup(name text, OUT u text, OUT p text) LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO public.as_whom VALUES (session_user); u := name; p := 'known'; END $$`,
		"ALTER FUNCTION public.lookup(text) OWNER TO mallory")
	w := start(t, d, strings.Replace(asksForUsers, "[users.asker]", "auth_query = \"SELECT u, p FROM public.lookup($1)\"\n[users.asker]", 1))
	if got := logInAs(t, w, d, "app", "right"); got != "app" {
		t.Errorf("in a database of the superuser's: %s", got)
	}
	for range 2 {
		if got := logInAs(t, w, hers, "app", "known"); !strings.HasPrefix(got, "28P01") {
			t.Errorf("in hers: %s", got)
		}
	}
	eventuallyLogged(t, w, "login failed", `where mallory can create`, "set auth_dbname")
	hers.Exec(t, "DO $$ BEGIN IF EXISTS (SELECT FROM as_whom) THEN RAISE 'it has run'; END IF; END $$")
}

// TestSessionAuthorizationOfAStartupPacketIsPostgres: it is checked, and has no effect.
func TestSessionAuthorizationOfAStartupPacketIsPostgres(t *testing.T) {
	d := pgserver.ForTest(t)
	d.Exec(t, "CREATE ROLE clerk", "CREATE ROLE plain LOGIN", "GRANT clerk TO plain")
	t.Cleanup(func() { d.Exec(t, "DROP ROLE clerk, plain") })
	w := start(t, d, "")
	seen := func(addr, user string, params map[string]string) string {
		t.Helper()
		c, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", user, addr, d.Name))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range params {
			c.RuntimeParams[name] = value
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err := pgconn.ConnectConfig(ctx, c)
		if err == nil {
			defer func() { _ = conn.Close(ctx) }()
			var got string
			if got, err = tryAsk(conn, "SELECT concat_ws(' ', session_user, current_user, current_setting('is_superuser'), current_setting('role'))"); err == nil {
				return got
			}
		}
		if e, ok := errors.AsType[*pgconn.PgError](err); ok {
			return e.Code + " " + e.Message
		}
		return err.Error()
	}
	for _, user := range []string{"postgres", "plain"} {
		for _, params := range []map[string]string{
			{"session_authorization": "clerk"},
			{"session_authorization": user},
			{"session_authorization": "default"},
			{"session_authorization": "none such"},
			{"Session_Authorization": "clerk"},
			{"options": "-c session_authorization=clerk"},
			{"options": "--session-authorization=clerk"},
			{"options": "-c session_authorization="},
			{"role": "clerk"},
			{"role": "clerk", "session_authorization": "clerk"},
			{"session_authorization": user, "role": "clerk"},
			{"session_authorization": "none such", "role": "clerk"},
		} {
			want := seen(d.Server.Addr(), user, params)
			if got := seen(w.Addr, user, params); got != want {
				t.Errorf("%s with %v: %s, and PostgreSQL says %s", user, params, got, want)
			}
		}
		if got := seen(w.Addr, user, nil); got != seen(d.Server.Addr(), user, nil) {
			t.Errorf("%s afterwards: %s", user, got)
		}
	}
}

// TestLongerNamesShareTheLimitOfTheirUser: what the server takes for one user is one to weir.
func TestLongerNamesShareTheLimitOfTheirUser(t *testing.T) {
	d := pgserver.ForTest(t)
	user := strings.Repeat("u", 63)
	d.Exec(t, "CREATE ROLE "+user+" LOGIN")
	t.Cleanup(func() { d.Exec(t, "DROP ROLE "+user) })
	w := start(t, d, "[users."+user+"]\nmax_user_client_connections = 1\n")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", user+"x", w.Addr, d.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if got := ask(t, c, "SELECT session_user"); got != user {
		t.Errorf("the server sees %s", got)
	}
	for _, name := range []string{user, user + "x", user + strings.Repeat("y", 100)} {
		if got := logInAs(t, w, d, name, ""); !strings.HasPrefix(got, "53300 too many clients for user") {
			t.Errorf("%s: %s", name, got)
		}
	}
}
