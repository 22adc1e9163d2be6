package authquery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/config"
	"weir/internal/pgserver"
	"weir/proxy/backend"
	settings "weir/proxy/session"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

// directory asks a database of the test's own as user.
func directory(t *testing.T, d *pgserver.Database) *Directory {
	t.Helper()
	dir := New(Options{Connect: func(ctx context.Context, s Source) (Conn, error) {
		to := backend.Target{Host: d.Server.SocketDir(), Port: d.Server.Port(), Database: d.Name, User: s.User}
		for _, setting := range Settings {
			to.Settings = append(to.Settings, settings.Setting{Name: setting[0], Value: setting[1]})
		}
		c, err := backend.Dial(ctx, to)
		if err != nil {
			return nil, err
		}
		return Session(backend.NewAsker(c), false), nil
	}})
	t.Cleanup(dir.Close)
	return dir
}

func database(t *testing.T) *pgserver.Database {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	return pgserver.ForTest(t)
}

// find looks a user up and puts the outcome into a word.
func find(dir *Directory, user, query, name string) string {
	a, err := dir.Lookup(context.Background(), Source{Database: "x", User: user, Query: query}, name, ForLogin)
	switch {
	case err != nil:
		return err.Error()
	case !a.Known:
		return "unknown"
	}
	form, _, _ := strings.Cut(a.Stored.Reveal(), "$")
	if len(form) == 35 && strings.HasPrefix(form, "md5") {
		form = "md5"
	}
	return "stored: " + form
}

func TestDefaultQueryFindsWhoMayLogIn(t *testing.T) {
	d := database(t)
	d.Exec(t,
		"create role verified login password 'x'", "create role bare login", "create role grp password 'x'",
		"create role late login password 'x' valid until '2000-01-01'", "create role soon login password 'x' valid until '2999-01-01'",
		"create role ever login password 'x' valid until 'infinity'", `create role "Odd ""name$1" login password 'x'`,
		"set password_encryption = 'md5'", "create role hashed login password 'x'",
		"create role "+strings.Repeat("n", 63)+" login password 'x'")
	t.Cleanup(func() {
		d.Exec(t, "drop role verified, bare, grp, late, soon, ever, hashed, "+strings.Repeat("n", 63)+`, "Odd ""name$1"`)
	})
	dir := directory(t, d)
	for name, want := range map[string]string{
		"verified": "stored: SCRAM-SHA-256", "hashed": "stored: md5", "bare": "stored: ", "grp": "unknown", "late": "stored: ", "soon": "stored: SCRAM-SHA-256",
		"ever": "stored: SCRAM-SHA-256", "nobody": "unknown", "Verified": "unknown", `Odd "name$1`: "stored: SCRAM-SHA-256", "' or true --": "unknown",
		// PostgreSQL cuts names off; what it would log in as somebody else is not somebody else here.
		strings.Repeat("n", 63): "stored: md5", strings.Repeat("n", 64): "unknown",
		"\xff\xfe": "unknown", "": "unknown",
	} {
		if got := find(dir, d.Server.Superuser(), config.DefaultAuthQuery, name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// TestSearchPathLeadsNobodyAstray: somebody who may create objects has put up functions, operators and tables with the names of
// the system's, and the role and the database prefer them; a client can choose no search_path here at all.
func TestSearchPathLeadsNobodyAstray(t *testing.T) {
	d := database(t)
	const query = "select rolname, case when rolvaliduntil < now() then null else rolpassword end from pg_authid where rolname = $1 and rolcanlogin"
	d.Exec(t,
		"create role asker login superuser", "create role victim login password 'x' valid until '2000-01-01'",
		"create schema evil",
		"create table evil.pg_authid (rolname text, rolvaliduntil timestamptz, rolpassword text, rolcanlogin bool)",
		"insert into evil.pg_authid values ('victim', 'infinity', 'evil', true)",
		"create function evil.now() returns timestamptz language sql as $$ select '1900-01-01'::timestamptz $$",
		"create function evil.never(timestamptz, timestamptz) returns bool language sql as $$ select false $$",
		"create operator evil.< (leftarg = timestamptz, rightarg = timestamptz, function = evil.never)",
		"alter role asker set search_path = evil, pg_catalog", "alter database "+d.Name+" set search_path = evil, pg_catalog")
	t.Cleanup(func() { d.Exec(t, "drop role asker, victim") })

	// The trap works on those who do not take care.
	c, err := pgconn.Connect(context.Background(), d.DSN("asker"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	r := c.ExecParams(context.Background(), query, [][]byte{[]byte("victim")}, nil, nil, nil).Read()
	if r.Err != nil || len(r.Rows) != 1 || string(r.Rows[0][1]) != "evil" {
		t.Fatalf("the trap does not work: %q, %v", r.Rows, r.Err)
	}
	// The default query takes care even of a session that does not.
	r = c.ExecParams(context.Background(), config.DefaultAuthQuery, [][]byte{[]byte("victim")}, nil, nil, nil).Read()
	if r.Err != nil || len(r.Rows) != 1 || r.Rows[0][1] != nil {
		t.Errorf("the default query fell for it: %q, %v", r.Rows, r.Err)
	}
	dir := directory(t, d)
	for name, q := range map[string]string{"the default": config.DefaultAuthQuery, "unqualified": query} {
		if got := find(dir, "asker", q, "victim"); got != "stored: " {
			t.Errorf("%s: %s, want no password, because it has expired", name, got)
		}
	}
	if got := find(dir, "asker", "select $1, current_setting('search_path')", "x"); got != "stored: pg_catalog, pg_temp" {
		t.Errorf("search_path is %s", got)
	}
}

// TestFunctionOfTheOperators is the way that PgBouncer's documentation recommends: an ordinary role, and a function that may
// read what it may not.
func TestFunctionOfTheOperators(t *testing.T) {
	d := database(t)
	d.Exec(t,
		"create role plain login", "create role app login password 'x'", "create schema pooler", "grant usage on schema pooler to plain",
		"create table pooler.seen (name text)", "grant insert on pooler.seen to plain",
		`create function pooler.user_lookup(in i_username text, out uname text, out phash text) returns record as $$
		begin
			select rolname, case when rolvaliduntil < now() then null else rolpassword end from pg_authid
			where rolname = i_username and rolcanlogin into uname, phash;
			return;
		end $$ language plpgsql security definer set search_path = pg_catalog, pg_temp`,
		"revoke all on function pooler.user_lookup(text) from public", "grant execute on function pooler.user_lookup(text) to plain",
		"create function public.lookup(text) returns table (a text, b text) language sql as $$ select $1, 'x' $$")
	t.Cleanup(func() { d.Exec(t, "drop owned by plain", "drop role plain, app") })
	dir := directory(t, d)
	for _, c := range []struct{ query, name, want string }{
		{"select * from pooler.user_lookup($1)", "app", "stored: SCRAM-SHA-256"},
		{"select uname, phash from pooler.user_lookup($1)", "nobody", "unknown"}, // a row of NULLs
		{config.DefaultAuthQuery, "app", "auth_query: permission denied for table pg_authid (42501)"},
		{"select * from lookup($1)", "app", "auth_query: function lookup(unknown) does not exist (42883); it runs with search_path = pg_catalog, pg_temp, so names of yours need their schema"},
		{"select * from public.lookup($1)", "app", "stored: x"},
		{"select * from nowhere.users where name = $1", "app", `auth_query: relation "nowhere.users" does not exist (42P01)`},
		{"select usename, passwd from pg_shadow where usename = $1", "app", "auth_query: permission denied for view pg_shadow (42501)"},
		{"select $1", "app", "auth_query gives 1 columns; want the user's name and what is stored as its password"},
		{"select $1, 'x', 'more'", "app", "stored: x"},
		{"select $1, ''", "app", "stored: "},
		{"select x, x from unnest(array[$1, $1]) x", "app", "auth_query gives 2 rows for one user"},
		{"select 'boss', 'x' where $1 <> ''", "app", `auth_query gives user "boss" for "app"`},
		{"selec $1", "app", `auth_query: syntax error at or near "selec" (42601)`},
		{"insert into pooler.seen values ($1)", "app", "auth_query gives 0 columns; want the user's name and what is stored as its password"},
	} {
		if got := find(dir, "plain", c.query, c.name); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s for %s: %s, want %s", c.query, c.name, got, c.want)
		}
	}
}

func TestManyLookupsShareFewConnections(t *testing.T) {
	d := database(t)
	dir := directory(t, d)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if got := find(dir, d.Server.Superuser(), "select $1, $1::text", fmt.Sprint("u", i)); got != fmt.Sprint("stored: u", i) {
				t.Errorf("u%d: %s", i, got)
			}
		})
	}
	wg.Wait()
	// What the server still counts are this package's own, idle ones.
	c, err := pgconn.Connect(context.Background(), d.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	r := c.ExecParams(context.Background(), "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()", nil, nil, nil, nil).Read()
	if r.Err != nil || string(r.Rows[0][0]) > fmt.Sprint(connectionsMax) {
		t.Errorf("%s connections, %v", r.Rows, r.Err)
	}
}

func TestRestartOfTheServerIsNotNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	server, err := pgserver.Start(context.Background(), pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	dir := directory(t, &pgserver.Database{Server: server, Name: "postgres"})
	for range 2 {
		if got := find(dir, "postgres", config.DefaultAuthQuery, "postgres"); got != "stored: " {
			t.Error(got)
		}
		if err := server.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDatabaseThatAnOrdinaryRoleCanChangeAnswersForNobody: where only the client has named the database, a query of the operator's runs
// only if no ordinary role can have made what it calls.
func TestDatabaseThatAnOrdinaryRoleCanChangeAnswersForNobody(t *testing.T) {
	d := database(t)
	d.Exec(t, "create role asker login", "create role mallory login", "create role groups",
		"create schema pooler", "grant usage on schema pooler to asker", "create table public.as_whom (who text)", "grant all on public.as_whom to public",
		`create function pooler.lookup(name text, out u text, out p text) language plpgsql as
		$$ begin insert into public.as_whom values (session_user); u := name; p := 'known'; end $$`)
	t.Cleanup(func() {
		d.Exec(t, "alter database "+d.Name+" owner to current_user", "drop owned by asker, mallory, groups", "drop role asker, mallory, groups")
	})
	d.Exec(t, "revoke create on schema public from public") // which may create there until PostgreSQL 14
	// Ran makes an error if the function has run.
	const ran = "do $$ begin if exists (select from public.as_whom) then raise 'the function has run as auth_user'; end if; end $$"
	ask := func(guarded bool, query string) string {
		dir := directory(t, d)
		a, err := dir.Lookup(context.Background(), Source{Database: d.Name, User: "asker", Query: query, Guarded: guarded}, "app", ForLogin)
		switch {
		case err != nil:
			return err.Error()
		case a.Why != "":
			_, why, _ := strings.Cut(a.Why, "where ")
			role, _, _ := strings.Cut(why, " can")
			return "open to " + role
		}
		return a.Stored.Reveal()
	}
	const query = "select u, p from pooler.lookup($1)"
	for _, c := range []struct{ grant, want, revoke string }{
		{"select 1", "known", "select 1"},
		{"alter database " + d.Name + " owner to mallory", "open to mallory", "alter database " + d.Name + " owner to current_user"},
		{"alter database " + d.Name + " owner to asker", "known", "alter database " + d.Name + " owner to current_user"},
		{"grant create on database " + d.Name + " to groups", "open to groups", "revoke create on database " + d.Name + " from groups"},
		{"grant create on database " + d.Name + " to public", "open to public", "revoke create on database " + d.Name + " from public"},
		{"grant create on schema pooler to mallory", "open to mallory", "revoke create on schema pooler from mallory"},
		{"grant create on schema public to public", "open to public", "revoke create on schema public from public"},
		{"create schema hers authorization mallory", "open to mallory", "drop schema hers"},
		{"alter schema pooler owner to mallory", "open to mallory", "alter schema pooler owner to current_user"},
	} {
		d.Exec(t, c.grant)
		d.Exec(t, "truncate public.as_whom")
		if got := ask(true, query); got != c.want {
			t.Errorf("%s: %s, want %s", c.grant, got, c.want)
		}
		if c.want != "known" {
			d.Exec(t, ran)
		}
		if got := ask(false, query); got != "known" {
			t.Errorf("%s, in a database that the configuration names: %s", c.grant, got)
		}
		d.Exec(t, c.revoke)
	}
}
