package proxy_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/pgserver"
)

// regressDifferences are PostgreSQL's regression tests that show something else through weir, each with its reason.
// docs/compatibility.md tells them to users.
var regressDifferences = map[string]string{
	"constraints": ofBackend,
	"sequence":    ofBackend,
	"guc":         "it wants plpgsql not to be loaded yet",
	"stats":       "a backend reports only its own statistics at once",
	"temp":        "the temporary schema may be there already",
}

const ofBackend = "currval is the backend's, which may be another one than nextval's"

// TestPostgresRegressionSuite runs PostgreSQL's own regression tests directly, and through a weir with two backends in transaction
// mode, and compares what psql has shown. It takes minutes, and needs the tests' source, so it runs on request: make test-regress.
func TestPostgresRegressionSuite(t *testing.T) {
	suite := os.Getenv("WEIR_TEST_REGRESS")
	if suite == "" {
		t.Skip("on request: make test-regress")
	}
	d := database(t)
	alone := runRegress(t, suite, d, d.Server.Addr())
	w := start(t, d, "[pool]\npool_size = 2\n[timeouts]\nquery_wait_timeout = \"30m\"\n[clients]\nquery_wait_notify = \"0s\"\n")
	through := runRegress(t, suite, d, w.Addr)
	w.Stop()
	files, err := filepath.Glob(filepath.Join(alone, "*.out"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d tests have run: %v", len(files), err)
	}
	same := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".out")
		diff, err := exec.CommandContext(t.Context(), "diff", "-U3", file, filepath.Join(through, name+".out")).CombinedOutput()
		reason, known := regressDifferences[name]
		switch {
		case err == nil:
			same++
		case known:
			t.Logf("%s differs: %s\n%s", name, reason, diff)
		default:
			t.Errorf("%s differs through weir:\n%s", name, diff)
		}
	}
	t.Logf("%d of %d tests show the same", same, len(files))
}

// runRegress runs the tests at an address and returns the folder of what they have shown.
func runRegress(t *testing.T, suite string, d *pgserver.Database, addr string) (results string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.MkdirTemp("", "weir-regress-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(out) })
	results = filepath.Join(out, "results")
	if err := os.Mkdir(results, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{out, results} { // the server writes there, too, perhaps as another user
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(suite, "pg_regress"), "--bindir="+filepath.Dir(d.Server.Bin("psql")), "--dlpath="+suite, "--inputdir="+suite,
		"--outputdir="+out, "--host="+host, "--port="+port, "--user="+d.Server.Superuser(), "--dbname=regression", "--schedule="+filepath.Join(suite, "parallel_schedule"))
	cmd.Env = append(os.Environ(), "PGSSLMODE=disable")
	text, err := cmd.CombinedOutput()
	t.Logf("pg_regress at %s: %v\n%s", addr, err, lastLines(string(text), 40))
	if err != nil && !strings.Contains(string(text), "tests failed") {
		t.Fatal(err)
	}
	return results
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("%s\n", strings.Join(lines[max(0, len(lines)-n):], "\n"))
}
