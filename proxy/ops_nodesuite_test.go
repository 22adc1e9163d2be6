package proxy_test

import (
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/pgserver"
)

// nodeDifferences are files of node-postgres' tests that cannot pass through a pooler that shares backends.
var nodeDifferences = map[string]string{
	"connection-pool/error-tests.js":                          processID,
	"gh-issues/130-tests.js":                                  processID,
	"client/query-error-handling-prepared-statement-tests.js": "it counts sessions by their last statement, which an idle backend of weir's keeps",
}

// TestPublicSuitesOfNode runs node-postgres' own integration tests, file by file, directly and through weir in transaction mode.
func TestPublicSuitesOfNode(t *testing.T) {
	folder := os.Getenv(suitesVariable)
	if folder == "" {
		t.Skip("on request: make test-suites")
	}
	d := database(t)
	w := start(t, d, "[pool]\nsession_audit = \"learn\"\n"+clientTLS(tlsFolder(t), "allow", ""))
	passed, directly := 0, 0
	root := filepath.Join(folder, "test", "integration")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "-tests.js") {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		_, direct := runNode(t, path, d, d.Server.Addr())
		out, through := runNode(t, path, d, w.Addr)
		if direct {
			directly++
		}
		if through {
			passed++
		}
		switch reason := nodeDifferences[name]; {
		case through:
		case reason != "" || !direct:
			t.Logf("%s: %s, passes directly: %v", name, reason, direct)
		default:
			t.Errorf("%s fails through weir:\n%s", name, out)
		}
		return nil
	})
	if err != nil || directly == 0 {
		t.Fatalf("%d files pass directly: %v", directly, err)
	}
	t.Logf("%d files pass directly, %d through weir", directly, passed)
}

// runNode runs one file, a second time if it fails: many have time limits of their own.
func runNode(t *testing.T, path string, d *pgserver.Database, addr string) (out []byte, passed bool) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, "node", path)
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TEST_TIMEOUT=20000",
			"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + d.Server.Superuser(), "PGDATABASE=" + d.Name,
		}
		out, err = cmd.CombinedOutput()
		cancel()
		if err == nil {
			return out, true
		}
	}
	return out, false
}
