package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/internal/pgserver"
)

// differences are tests of pgx that cannot hold through a pooler that shares backends, each with its reason. docs/compatibility.md
// tells them to users.
var differences = map[string]string{
	"TestPrepareHandlesTimeoutBetweenParseAndDescribe":                 catalogue,
	"TestPrepareWithDigestedNameHandlesTimeoutBetweenParseAndDescribe": catalogue,
	"TestConnMultiplePrepareAndDeallocate":                             catalogue,
	"TestFatalTxError":                                                 processID,
	"TestFatalRxError":                                                 processID,
	"TestPoolAcquireChecksIdleConns":                                   processID,
	"TestCheckIdleConn":                                                processID,
	"TestConnReleaseClosesConnInTransaction":                           processID,
	"TestConnectProtocolVersion32":                                     "it holds the key's length against a server's version",
	"TestCancelRequestContextWatcherHandler":                           "it depends on time, and fails without weir as well",
}

const (
	catalogue = "it looks a statement up in pg_prepared_statements, where weir's names are"
	processID = "it takes the process ID of the cancel key for the server's process"
)

// suitesVariable names the folder of node-postgres' tests.
const suitesVariable = "WEIR_TEST_SUITES"

// TestPublicSuites runs pgx's own tests directly and through weir, in transaction mode. It takes some minutes, so it runs on request:
// make test-suites.
func TestPublicSuites(t *testing.T) {
	if os.Getenv(suitesVariable) == "" {
		t.Skip("on request: make test-suites")
	}
	d := database(t)
	d.Exec(t, "CREATE EXTENSION hstore", "CREATE EXTENSION ltree", "CREATE DOMAIN uint64 AS numeric(20,0)")
	suite := copyOfPgx(t)
	direct := runSuite(t, suite, d, d.Server.Addr())
	w := start(t, d, "")
	through := runSuite(t, suite, d, w.Addr)
	for _, pkg := range slices.Sorted(maps.Keys(through)) {
		t.Logf("%-45s direct %s, through weir %s", pkg, direct[pkg], through[pkg])
		for _, test := range through[pkg].failed {
			top, _, _ := strings.Cut(test, "/")
			reason, known := differences[top]
			t.Logf("    %s: %s", test, reason)
			if !known && !slices.Contains(direct[pkg].failed, test) {
				t.Errorf("%s %s fails through weir", pkg, test)
			}
		}
	}
}

// copyOfPgx copies the module that go.mod names, tests and all, to where it may be built.
func copyOfPgx(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/jackc/pgx/v5").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "pgx")
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// results are those of one package.
type results struct {
	passed, skipped int
	failed          []string
}

func (r *results) String() string {
	return fmt.Sprintf("%d passed, %d skipped, %d failed", r.passed, r.skipped, len(r.failed))
}

func runSuite(t *testing.T, dir string, d *pgserver.Database, addr string) map[string]*results {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*results{}
	for _, packages := range []string{".", "./pgconn/...", "./pgxpool", "./stdlib", "./pgtype/..."} {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-json", packages)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), fmt.Sprintf("PGX_TEST_DATABASE=host=%s port=%s user=%s database=%s sslmode=disable",
			host, port, d.Server.Superuser(), d.Name))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		collect(t, out, all)
		_ = cmd.Wait() // that tests have failed is among the results
	}
	return all
}

func collect(t *testing.T, out io.Reader, all map[string]*results) {
	t.Helper()
	for lines := json.NewDecoder(out); ; {
		var e struct{ Action, Package, Test string }
		if err := lines.Decode(&e); err != nil {
			if err != io.EOF {
				t.Errorf("go test says what is no JSON: %v", err)
			}
			return
		}
		if e.Test == "" {
			continue
		}
		r := all[e.Package]
		if r == nil {
			r = &results{}
			all[e.Package] = r
		}
		switch e.Action {
		case "pass":
			r.passed++
		case "skip":
			r.skipped++
		case "fail":
			r.failed = append(r.failed, e.Test)
		}
	}
}
