package config

import (
	"strings"
	"testing"
)

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if n, v, _ := strings.Cut(p, "="); n == name {
				return v, true
			}
		}
		return "", false
	}
}

func TestWithoutAFileTheServerComesFromTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		env      []string
		host     string
		port     int
		password string
	}{
		{nil, "localhost", 5432, ""},
		{[]string{"PGHOST=db.example.org", "PGPORT=5433", "PGPASSWORD=secret"}, "db.example.org", 5433, "secret"},
		{[]string{"PGHOST=/run/postgresql"}, "/run/postgresql", 5432, ""},
		{[]string{"PGHOST=@abstract"}, "@abstract", 5432, ""},
		{[]string{"PGHOST=name", "PGHOSTADDR=10.0.0.5"}, "10.0.0.5", 5432, ""},
		{[]string{"PGHOST=::1", "PGSSLMODE=prefer"}, "::1", 5432, ""},
		{[]string{"PGHOST=", "PGPORT="}, "localhost", 5432, ""},
	} {
		c, err := FromEnvironment(environment(append(tt.env, "PGUSER=app", "PGDATABASE=shop")...), "")
		if err != nil {
			t.Errorf("%v: %v", tt.env, err)
			continue
		}
		d, ok := c.Database("any")
		// User and database are the client's: in libpq, too, a variable is only for what is not said.
		if !ok || d.Host != tt.host || d.Port != tt.port || d.Password.Reveal() != tt.password || d.User != "" || d.DBName != "any" {
			t.Errorf("%v: got %+v", tt.env, d)
		}
		if c.Auth.Type != AuthTrust || len(c.Listen.Addresses) != 1 || c.Listen.Addresses[0] != "127.0.0.1:6432" {
			t.Errorf("%v: %v on %v", tt.env, c.Auth.Type, c.Listen.Addresses)
		}
		if len(c.Warnings()) == 0 {
			t.Error("no warning that clients are trusted")
		}
	}
}

// Where weir would do something else than libpq, it says so instead.
func TestEnvironmentThatCannotBeFollowedIsAnError(t *testing.T) {
	for _, tt := range []struct{ env, want string }{
		{"PGSSLMODE=verify-full", `sslmode "verify-full" needs sslrootcert (PGSSLROOTCERT)`},
		{"PGSSLMODE=x", `PGSSLMODE: must be "disable", "allow"`},
		{"PGSSLROOTCERT=/none.crt", "ca_file: open /none.crt"},
		{"PGSSLCERT=/none.crt", "cert_file and key_file belong together"},
		{"PGSERVICE=shop", "service files"},
		{"PGHOST=a,,b", "one of the hosts is empty"},
		{"PGPORT=x", "from 1 to 65535"},
		{"PGPORT=5432,5433", "2 ports"},
		{"PGTARGETSESSIONATTRS=master", `must be "any"`},
		{"PGPORT=0", "PGPORT"},
		{"PGPORT=65536", "PGPORT"},
	} {
		_, err := FromEnvironment(environment(tt.env), "")
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "environment: ") {
			t.Errorf("%s: error is %v", tt.env, err)
		}
	}
}

func TestDSNNamesTheServer(t *testing.T) {
	env := environment("PGHOST=other", "PGPORT=7777", "PGPASSWORD=wrong", "PGSSLMODE=require")
	for _, tt := range []struct {
		dsn, host string
		port      int
		user      string
		password  string
		dbname    string // "asked": what the client asked for
	}{
		{"postgres://app:se%40cret@db:5433/shop?sslmode=disable", "db", 5433, "app", "se@cret", "shop"},
		{"postgresql://db?sslmode=disable&port=1", "db", 1, "", "wrong", "asked"},
		{"postgres:///shop?host=/run/postgresql&port=5433&sslmode=disable&user=u&password=a+b", "/run/postgresql", 5433, "u", "a+b", "shop"},
		{"postgres://%2Frun%2Fpostgresql/shop?sslmode=prefer", "/run/postgresql", 7777, "", "wrong", "shop"},
		{"postgres://u:a@b@[::1]:5433/?sslmode=disable", "::1", 5433, "u", "a@b", "asked"},
		{"postgres://[fe80::1]/x?sslmode=disable", "fe80::1", 7777, "", "wrong", "x"},
		{"postgres://?sslmode=disable", "other", 7777, "", "wrong", "asked"},
		{`host=db port = 5433 user='a b' password='it\'s \\' dbname=sh\ op sslmode=disable`, "db", 5433, "a b", `it's \`, "sh op"},
		{"host=name hostaddr=10.0.0.1 sslmode=allow dbname=''", "10.0.0.1", 7777, "", "wrong", "asked"},
	} {
		c, err := FromEnvironment(env, tt.dsn)
		if err != nil {
			t.Errorf("%s: %v", tt.dsn, err)
			continue
		}
		d, ok := c.Database("asked")
		if !ok || d.Host != tt.host || d.Port != tt.port || d.User != tt.user || d.Password.Reveal() != tt.password || d.DBName != tt.dbname {
			t.Errorf("%s: got %+v, password %q", tt.dsn, d, d.Password.Reveal())
		}
		if c.Auth.Type != AuthTrust {
			t.Errorf("%s: %v", tt.dsn, c.Auth.Type)
		}
	}
}

func TestDSNThatCannotBeFollowedIsAnError(t *testing.T) {
	for _, tt := range []struct{ dsn, want string }{
		{"localhost", "want a URL"},
		{" ", "want a URL"},
		{"=x", "want a URL"},
		{"host=a x", "want a URL"},
		{"mysql://localhost/x=y", "not a URL"},
		{"host='a", "does not end"},
		{"host=a host=b", "twice"},
		{"postgres://h/d?host=x", "twice"},
		{"postgres://h?x", "name=value"},
		{"postgres://h:5432x/d", "not a URL"},
		{"postgres://[::1/d", "not a URL"},
		{"postgres://[::1]5432/d", "not a URL"},
		{"postgres://a,,b/d", "one of the hosts is empty"},
		{"postgres://a:1,b:2,c:3/d?target_session_attrs=x", "target_session_attrs must be"},
		{"postgres://h:0/d", "from 1 to 65535"},
		{"postgres://h:99999/d", "from 1 to 65535"},
		{"postgres://%zz/d", "percent"},
		{"postgres://h/d?sslmode=verify-full", "needs sslrootcert"},
		{"postgres://h/d?sslmod=disable", `did you mean "sslmode"?`},
		{"postgres://h/d?pool_max_conns=5", "pool_max_conns"},
		{"postgres://h%20x/d", "neither a name nor an address"},
		{"postgres://u@h/a%00b", "NUL"},
		{"host=h password=md5d41d8cd98f00b204e9800998ecf8427e", "clear text"},
		{"postgres://h/d?connect_timeout=5", "not supported"},
	} {
		_, err := FromEnvironment(noEnv, tt.dsn)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "--to: ") {
			t.Errorf("%s: error is %v", tt.dsn, err)
		}
	}
}

func TestFlagsReplaceTheFile(t *testing.T) {
	c := parse(t, `
		[listen]
		addresses = ["127.0.0.1:1"]
		[auth]
		type = "md5"
		[databases."*"]
		host = "file"
		pool_size = 3
		[databases.own]
		host = "own"`)
	off := ""
	changed, err := c.With(Flags{To: "postgres://flag", Listen: []string{":2", "127.0.0.1:3"}, HTTP: &off, LogLevel: "debug"}, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := changed.Database("x"); d.Host != "flag" || d.PoolSize != nil {
		t.Errorf("*: %+v", d)
	}
	if d, _ := changed.Database("own"); d.Host != "own" {
		t.Errorf("own: %+v", d)
	}
	if len(changed.Listen.Addresses) != 2 || changed.HTTP.Address != "" || changed.Log.Level != -4 || changed.Auth.Type != AuthMD5 {
		t.Errorf("%+v", changed)
	}
	if d, _ := c.Database("x"); d.Host != "file" || len(c.Listen.Addresses) != 1 {
		t.Error("the first Config was changed")
	}
	if same, err := c.With(Flags{}, noEnv); err != nil || same.Listen.Addresses[0] != "127.0.0.1:1" || same.HTTP.Address != c.HTTP.Address {
		t.Errorf("no flags: %v %v", same, err)
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	nonsense := "nonsense"
	_, err := Default().With(Flags{To: "x", Listen: []string{"127.0.0.1", ":1", ":1"}, HTTP: &nonsense, LogLevel: "loud"}, noEnv)
	problems, ok := err.(Problems)
	if !ok {
		t.Fatalf("error is %v", err)
	}
	var flags []string
	for _, p := range problems {
		flags = append(flags, p.Where)
	}
	if got := strings.Join(flags, " "); got != "--to --log-level --listen --listen --http" {
		t.Errorf("got %s:\n%v", got, err)
	}
}

func FuzzDSN(f *testing.F) {
	for _, seed := range []string{
		"postgres://app:se%40cret@db:5433/shop?sslmode=disable", `host=db port = 5433 user='a b' password='it\'s'`,
		"postgres://[::1]:5/", "postgres://%2Frun/x?host=", "host=\\", "a='",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		c, err := FromEnvironment(noEnv, dsn)
		if err != nil {
			return
		}
		d, ok := c.Database("x")
		if !ok || d.Host == "" || d.Port < 1 || d.Port > 65535 || strings.ContainsRune(d.User+d.DBName, 0) {
			t.Errorf("%q was read as %+v", dsn, d)
		}
	})
}

// What a DSN says of itself the environment cannot spoil, and the same mistakes are told in the same words each time.
func TestEnvironmentHasNoSayInWhatADSNSays(t *testing.T) {
	env := environment("PGTARGETSESSIONATTRS=nonsense", "PGLOADBALANCEHOSTS=nonsense", "PGSSLMODE=nonsense", "PGSSLMINPROTOCOLVERSION=nonsense")
	c, err := FromEnvironment(env, "postgres://a,b/d?target_session_attrs=primary&load_balance_hosts=random&sslmode=disable&ssl_min_protocol_version=TLSv1.3")
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Databases[AnyDatabase]; d.TargetSession != TargetPrimary || d.LoadBalance != BalanceRandom {
		t.Errorf("%+v", d)
	}
	for _, dsn := range []string{"", "postgres://a,b/d", "postgres://h/d?zz=1&aa=2&mm=3&kk=4"} {
		var first string
		for range 20 {
			_, err := FromEnvironment(env, dsn)
			if err == nil {
				t.Fatalf("%q is taken", dsn)
			}
			if first == "" {
				first = err.Error()
			}
			if err.Error() != first {
				t.Fatalf("%q: once\n%s\nand then\n%s", dsn, first, err)
			}
		}
	}
}
