package pgserver

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TB is what ForTest uses of testing.TB. The testing package itself stays out of the programs that import this one.
type TB interface {
	Helper()
	Name() string
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

var shared struct {
	mu     sync.Mutex
	server *Server
	err    error
	last   atomic.Int64 // number of the newest database
}

// SharedOptions are those of the server that ForTest starts. Set them in TestMain before Main.
var SharedOptions Options

// Main is the body of a package's TestMain: it runs the tests and then stops the server that ForTest started.
//
//	func TestMain(m *testing.M) { pgserver.Main(m) }
func Main(m interface{ Run() int }) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Stop()
	}
	os.Exit(code)
}

// Database is one test's own database on the package's server.
type Database struct {
	Server *Server
	Name   string
}

// DSN is a URL for the database; user as in Server.DSN.
func (d *Database) DSN(user ...string) string { return d.Server.DSN(d.Name, user...) }

// Exec runs statements as superuser in the database, or fails the test.
func (d *Database) Exec(t TB, statements ...string) {
	t.Helper()
	if err := d.Server.Exec(context.Background(), d.Name, statements...); err != nil {
		t.Fatalf("prepare the database: %v", err)
	}
}

// ForTest makes an empty database for a test on a server that all tests of the package share; the first call starts
// it. The database is dropped with its sessions when the test ends. A failed test logs the end of the server's log.
func ForTest(t TB) *Database {
	t.Helper()
	server, err := sharedServer()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	d := &Database{Server: server, Name: databaseName(t.Name())}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.CreateDatabase(ctx, d.Name); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of PostgreSQL's log:\n%s", logTail(server.Log()))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.DropDatabase(ctx, d.Name); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
	})
	return d
}

func sharedServer() (*Server, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // it may have to fetch PostgreSQL
		defer cancel()
		shared.server, shared.err = Start(ctx, SharedOptions)
	}
	return shared.server, shared.err
}

// databaseName is readable in pg_stat_activity and a plain identifier below PostgreSQL's 63 bytes.
func databaseName(test string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(test))
	return fmt.Sprintf("t%d_%.40s", shared.last.Add(1), plain)
}
