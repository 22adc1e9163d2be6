package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(withoutPrograms{m}) }

// output collects what a running command writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func command(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr output
	code = run(t.Context(), args, streams{&stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestExitCodes(t *testing.T) {
	t.Setenv("BOOKSTORE_DSN", "")
	t.Setenv("DATABASE_URL", "")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, 0, "Usage: bookstore"},
		{[]string{"serve", "--help"}, 0, "--async-overflow=10"},
		{[]string{"compare", "--help"}, 0, "(10,50,100,200,400,1000,2000)"},
		{nil, 2, "Try: bookstore --help"},
		{[]string{"sell"}, 2, "Try: bookstore --help"},
		{[]string{"health", "--listen", "127.0.0.1:1"}, 1, "refused"},
		{[]string{"serve"}, 2, "--dsn"},
		{[]string{"serve", "--help"}, 0, "$BOOKSTORE_SYNC_POOL"},
		{[]string{"serve", "--dsn", "postgres://x@127.0.0.1:1/x", "--processes", "0"}, 2, "at least 1"},
		{[]string{"seed", "--dsn", "postgres://x@127.0.0.1:1/x", "--wait", "100ms"}, 1, "wait 100ms for the database: migrate the schema: database unavailable"},
		{[]string{"serve", "--dsn", "nonsense"}, 1, "read the DSN"},
		{[]string{"demo", "--weir", "/nowhere/weir", "--bookstore", "/bin/true"}, 1, "make build makes it"},
		{[]string{"compare", "--ladder", "ten"}, 2, "Try: bookstore --help"},
		{[]string{"load"}, 2, "expected \"<url> ...\""},
		{[]string{"load", "ftp://x/"}, 1, "want http://host:port/path"},
		{[]string{"load", "x@http://127.0.0.1:1/"}, 1, "WEIGHT@URL"},
		{[]string{"load", "--profile", "raid", "http://x/"}, 2, "must be one of"},
		{[]string{"report", "/nowhere/result.json"}, 1, "open the comparison"},
	} {
		code, out, err := command(t, c.args...)
		if code != c.code || !strings.Contains(out+err, c.says) {
			t.Errorf("bookstore %v: exit %d, said\n%s%s\nwant %d and %q", c.args, code, out, err, c.code, c.says)
		}
	}
}

func TestSeedReadsTheEnvironmentAndCanBeRepeated(t *testing.T) {
	db := pgserver.ForTest(t)
	for _, variable := range []string{"DATABASE_URL", "BOOKSTORE_DSN"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv("DATABASE_URL", "postgres://x@127.0.0.1:1/x") // BOOKSTORE_DSN wins over it
			t.Setenv(variable, db.DSN())
			if code, _, err := command(t, "seed"); code != 0 {
				t.Fatalf("exit %d: %s", code, err)
			}
		})
	}
	conn, err := pgx.Connect(t.Context(), db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var books int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM books").Scan(&books); err != nil || books != 20 {
		t.Errorf("%d books, %v; want 20", books, err)
	}
	t.Setenv("BOOKSTORE_DSN", db.DSN())
	t.Setenv("BOOKSTORE_ADMIN_PASSWORD", "from the environment")
	if code, out, err := command(t, "seed", "--books", "23", "--admin", "keeper"); code != 0 || strings.Contains(out, "no administrator") {
		t.Fatalf("exit %d: %s%s", code, out, err)
	}
	var keeper bool
	err = conn.QueryRow(t.Context(), "SELECT count(*), (SELECT is_admin FROM users WHERE username = 'keeper') FROM books").Scan(&books, &keeper)
	if err != nil || books != 23 || !keeper {
		t.Errorf("%d books, administrator %v, %v; want 23 and one", books, keeper, err)
	}
	if code, _, err := command(t, "serve", "--secret", "short"); code != 1 || !strings.Contains(err, "at least 32") {
		t.Errorf("a short secret: exit %d: %s", code, err)
	}
}

var listening = regexp.MustCompile(`address=(\S+)`)

// eventually waits for cond, which returns "" when it holds and otherwise says what is missing.
func eventually(t *testing.T, cond func() string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		reason := cond()
		if reason == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still: %s", reason)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestServeAnswersAndLetsRequestsEnd(t *testing.T) {
	db := pgserver.ForTest(t)
	ctx, terminate := context.WithCancel(t.Context())
	defer terminate()
	var log output
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--dsn", db.DSN(), "--seed", "--listen", "127.0.0.1:0"}, streams{io.Discard, &log})
	}()
	eventually(t, func() string {
		if !listening.MatchString(log.String()) {
			return "no address in: " + log.String()
		}
		return ""
	})
	address := listening.FindStringSubmatch(log.String())[1]
	url := "http://" + address
	for _, flag := range []string{"--ready=false", "--ready"} {
		if code, _, says := command(t, "health", flag, "--listen", address); code != exitOK {
			t.Errorf("health %s: exit %d, %s", flag, code, says)
		}
	}

	// A request is under way, held up by a lock, when the command is told to stop.
	conn, err := pgx.Connect(t.Context(), db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE books IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/async_books/?limit=1")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(resp.StatusCode, " ", string(body), err)
	}()
	eventually(t, func() string {
		var waiting int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting)
		if err != nil || waiting != 1 {
			return fmt.Sprintf("%d wait for the lock, %v", waiting, err)
		}
		return ""
	})
	terminate()
	eventually(t, func() string {
		if !strings.Contains(log.String(), "closing") {
			return "not told to stop"
		}
		return ""
	})
	if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; !strings.HasPrefix(got, "200 ") || !strings.Contains(got, "Pride and Prejudice") {
		t.Errorf("the request under way got %s", got)
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit %d: %s", code, log.String())
	}
	if _, err := http.Get(url); err == nil {
		t.Error("it still serves")
	}
}

func TestVersionAndHelp(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, out, errs := command(t, args...); code != 0 || !strings.HasPrefix(out, "bookstore ") || errs != "" {
			t.Errorf("%v: exit %d, %s%s", args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"help"}, {"help", "load"}} {
		if code, out, errs := command(t, args...); code != 0 || !strings.HasPrefix(out, "Usage: bookstore") || errs != "" {
			t.Errorf("%v: exit %d, %s%s", args, code, out, errs)
		}
	}
}
