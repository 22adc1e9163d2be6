package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/pgserver"
	"weir/proxy/session"
)

const password = `it's a \ "secret"`

func TestMain(m *testing.M) {
	pgserver.SharedOptions = pgserver.Options{
		Auth: "scram-sha-256", Password: password, Settings: map[string]string{"ssl": "on", "ssl_ca_file": "root.crt"},
		HBA: slices.Concat(tlsHBA, authHBA), Files: serverFiles(),
	}
	pgserver.Main(m)
}

// target is the test's own database over TCP.
func target(t *testing.T) Target {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	return targetOf(pgserver.ForTest(t))
}

func targetOf(d *pgserver.Database) Target {
	return Target{
		Host: "127.0.0.1", Port: d.Server.Port(), Database: d.Name,
		User: d.Server.Superuser(), Password: password, ConnectTimeout: time.Minute,
	}
}

func mustDial(t *testing.T, target Target) *Conn {
	t.Helper()
	conn, err := Dial(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Net.Close() })
	return conn
}

func param(c *Conn, name string) string {
	for _, p := range c.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func TestDialledBackendIsAtRestAndReportsItself(t *testing.T) {
	tcp := target(t)
	tcp.ApplicationName = "it's weir"
	unix := tcp
	server := pgserver.ForTest(t).Server
	unix.Host = server.SocketDir()
	for _, to := range []Target{tcp, unix} {
		t.Run(to.network(), func(t *testing.T) {
			c := mustDial(t, to)
			if c.PID == 0 || len(c.Secret) != 4 {
				t.Errorf("pid %d, a secret of %d bytes", c.PID, len(c.Secret))
			}
			if !slices.IsSortedFunc(c.Params, func(a, b session.Setting) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("the parameters are not sorted: %v", c.Params)
			}
			for _, name := range []string{
				"DateStyle", "IntervalStyle", "TimeZone", "client_encoding", "integer_datetimes", "is_superuser",
				"server_encoding", "server_version", "session_authorization", "standard_conforming_strings",
			} {
				if param(c, name) == "" {
					t.Errorf("%s is not among the parameters", name)
				}
			}
			if got := param(c, "application_name"); got != "it's weir" {
				t.Errorf("application_name is %q", got)
			}
			switch c.Net.(type) {
			case *net.TCPConn, *net.UnixConn:
			default:
				t.Errorf("the connection is a %T", c.Net)
			}
			if got := query(t, c, "select pg_backend_pid() || ' ' || current_database()"); got != fmt.Sprintf("%d %s", c.PID, to.Database) {
				t.Errorf("the backend answers %q", got)
			}
			if c.Target.Host != to.Host || c.Target.Port != to.Port {
				t.Errorf("%s was dialled, %s answered", to, c.Target)
			}
		})
	}
}

func TestNameBecomesTheAddressThatAnswered(t *testing.T) {
	to := target(t)
	to.Host = "localhost"
	if c := mustDial(t, to); net.ParseIP(c.Target.Host) == nil {
		t.Errorf("%s answered, want its address", c.Target)
	}
}

func TestEnvironmentHasNoSay(t *testing.T) {
	to := target(t)
	to.Password = "" // must not come from PGPASSWORD or a file
	trusted := to
	trusted.Host, trusted.Password = pgserver.ForTest(t).Server.SocketDir(), ""
	for name, value := range map[string]string{
		"PGHOST": "nowhere.invalid", "PGPORT": "none", "PGDATABASE": "none", "PGUSER": "none", "PGPASSWORD": password,
		"PGPASSFILE": "/nowhere", "PGAPPNAME": "none", "PGCONNECT_TIMEOUT": "none", "PGSSLMODE": "none", "PGSSLKEY": "/nowhere",
		"PGSSLCERT": "/nowhere", "PGSSLCERTMODE": "none", "PGSSLSNI": "none", "PGSSLROOTCERT": "/nowhere", "PGSSLPASSWORD": "none",
		"PGSSLNEGOTIATION": "none", "PGTARGETSESSIONATTRS": "none", "PGSERVICE": "none", "PGSERVICEFILE": "/nowhere", "PGTZ": "None/None",
		"PGOPTIONS": "-c none=none", "PGMINPROTOCOLVERSION": "none", "PGMAXPROTOCOLVERSION": "none", "PGCHANNELBINDING": "none",
		"PGREQUIREAUTH": "none", "PGKRBSRVNAME": "none", "HOME": "/nowhere",
	} {
		t.Setenv(name, value)
	}
	c := mustDial(t, trusted)
	if got := param(c, "application_name"); got != "" {
		t.Errorf("application_name is %q", got)
	}
	var failed *DialError
	if _, err := Dial(context.Background(), to); !errors.As(err, &failed) || failed.Lacking() == nil || failed.Lacking().Lack != LackPassword {
		t.Errorf("a login without its password: %v", err)
	}
}

func TestFailedDialSaysWhatItMeans(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	d := pgserver.ForTest(t)
	d.Exec(t,
		"create role app login password 'app'", "create role guest login password 'guest' connection limit 0",
		"revoke connect on database "+d.Name+" from public", "grant connect on database "+d.Name+" to guest")
	t.Cleanup(func() {
		d.Exec(t, "drop owned by guest", "drop role app", "drop role guest")
	})
	base := targetOf(d)
	addr := base.Address()
	closed := freeAddr(t)
	for _, c := range []struct {
		name   string
		change func(*Target)
		kind   Kind
		text   string
	}{
		{
			"wrong password", func(t *Target) { t.Password = "wrong" }, Refused,
			"dial " + d.Name + " at " + addr + ": login: password rejected (28P01)",
		},
		{
			"unknown user", func(t *Target) { t.User = "nobody" }, Refused,
			"dial " + d.Name + " at " + addr + ": login: password rejected (28P01)",
		},
		{
			"unknown database", func(t *Target) { t.Database = "nowhere" }, Refused,
			`dial nowhere at ` + addr + `: login: database "nowhere" does not exist (3D000)`,
		},
		{
			"no right to connect", func(t *Target) { t.User, t.Password = "app", "app" }, Refused,
			"dial " + d.Name + " at " + addr + `: login: permission denied for database "` + d.Name + `" (42501)`,
		},
		{
			"role full", func(t *Target) { t.User, t.Password = "guest", "guest" }, Full,
			"dial " + d.Name + " at " + addr + `: login: too many connections for role "guest" (53300)`,
		},
		{
			"nobody listens", func(t *Target) { t.Port = closed.Port }, Unreachable,
			"dial " + d.Name + " at " + closed.String() + ": connect: connection refused",
		},
		{
			"no socket", func(t *Target) { t.Host = "/nowhere" }, Unreachable,
			fmt.Sprintf("dial %s at /nowhere/.s.PGSQL.%d: connect: no such file or directory", d.Name, base.Port),
		},
		{"unknown host", func(t *Target) { t.Host = "nowhere.invalid" }, Unreachable, "dial " + d.Name + " at nowhere.invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := base
			c.change(&to)
			_, err := Dial(context.Background(), to)
			var failed *DialError
			if !errors.As(err, &failed) {
				t.Fatalf("%v, want a *DialError", err)
			}
			if failed.Kind != c.kind || !strings.HasPrefix(failed.Error(), c.text) {
				t.Errorf("%s: %v\nwant %s: %s", failed.Kind, failed, c.kind, c.text)
			}
			if (failed.Server == nil) != (failed.SQLState() == "08001") || failed.Addr != to.Address() {
				t.Errorf("server %v, SQLSTATE %s, address %s", failed.Server, failed.SQLState(), failed.Addr)
			}
			if to.Password != "guest" && strings.Contains(failed.Error()+failed.Cause()+fmt.Sprintf("%v %+v", to, to), to.Password) {
				t.Errorf("the password is in the text: %v", failed)
			}
		})
	}
}

// freeAddr is a port of the loopback on which nobody listens.
func freeAddr(t *testing.T) *net.TCPAddr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr)
}

func TestFullServerIsFull(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	server, err := pgserver.Start(context.Background(), pgserver.Options{Settings: map[string]string{
		"max_connections": "3", "superuser_reserved_connections": "1", "max_wal_senders": "0", "autovacuum": "off",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	if err := server.Exec(context.Background(), "postgres", "create role app login"); err != nil {
		t.Fatal(err)
	}
	to := Target{Host: "127.0.0.1", Port: server.Port(), Database: "postgres", User: "app", ConnectTimeout: time.Minute}
	var conns []*Conn
	for range 4 {
		c, err := Dial(context.Background(), to)
		var failed *DialError
		if errors.As(err, &failed) {
			if failed.Kind != Full || failed.SQLState() != "53300" {
				t.Errorf("%s: %v", failed.Kind, failed)
			}
			if len(conns) == 0 {
				t.Error("not even one backend could be had")
			}
			return
		}
		defer func() { _ = c.Net.Close() }()
		conns = append(conns, c)
	}
	t.Errorf("%d backends on a server for 3", len(conns))
}

func TestCodesAreSortedByWhatTheyMean(t *testing.T) {
	for code, want := range map[string]Kind{
		"53300": Full, "53200": Unreachable, "53100": Unreachable, "57P03": Unreachable, "57P01": Unreachable, "58030": Unreachable,
		"XX000": Unreachable, "28P01": Refused, "28000": Refused, "3D000": Refused, "42501": Refused, "42704": Refused, "22023": Refused,
		"0A000": Refused, "08P01": Refused, "55000": Refused, "08006": Unreachable, codeNone: Unreachable,
	} {
		if got := kindOf(code); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
	}
}

// TestFailedDialsLeaveNothingBehind runs after failures of each kind and waits
// for their goroutines to be gone.
func TestFailedDialsLeaveNothingBehind(t *testing.T) {
	to := target(t)
	before := runtime.NumGoroutine()
	for range 5 {
		wrong := to
		wrong.Password = "wrong"
		if _, err := Dial(context.Background(), wrong); err == nil {
			t.Fatal("logged in with a wrong password")
		}
	}
	c := mustDial(t, to)
	_ = c.Net.Close()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}
