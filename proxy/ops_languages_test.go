package proxy_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/pgserver"
)

// driversVariable names the folder where `make test-drivers` has put node's drivers. Without it the test is skipped: few machines
// have all of these drivers, and their programs take longer to start than all of Go's tests here.
const driversVariable = "WEIR_TEST_DRIVERS"

// foreignPrograms are small programs in testdata/drivers, each of which uses a driver as applications do.
var foreignPrograms = []struct {
	file  string
	needs []string // modules to import
}{
	{file: "with_psycopg2.py", needs: []string{"psycopg2"}},
	{file: "with_psycopg3.py", needs: []string{"psycopg"}},
	{file: "with_asyncpg.py", needs: []string{"asyncpg"}},
	{file: "with_sqlalchemy.py", needs: []string{"sqlalchemy", "psycopg2", "asyncpg"}},
	{file: "with_pg.cjs", needs: []string{"pg", "pg-cursor", "pg-copy-streams"}},
	{file: "with_postgres.cjs", needs: []string{"postgres"}},
}

// TestDriversOfOtherLanguages runs each program with PostgreSQL itself, which shows that the program is right, and through weir, with
// four times as many clients as backends.
func TestDriversOfOtherLanguages(t *testing.T) {
	if os.Getenv(driversVariable) == "" {
		t.Skip("make test-drivers gets the drivers and runs this")
	}
	for _, p := range foreignPrograms {
		t.Run(p.file, func(t *testing.T) {
			runtime, why := runtimeOf(p.file, p.needs)
			if runtime == "" {
				t.Fatal(why)
			}
			purchases := driverClients * driverRounds * itemsPerRound
			t.Run("direct", func(t *testing.T) {
				d := database(t)
				fillShop(t, d)
				runForeign(t, runtime, p.file, d.Server.Addr(), d)
			})
			t.Run("weir", func(t *testing.T) {
				d, w := shopDatabase(t)
				t.Log(runForeign(t, runtime, p.file, w.Addr, d))
				expectShared(t, d, w, purchases)
			})
		})
	}
}

// runtimeOf finds the interpreter of a program that has these modules. "": there is none, and why.
func runtimeOf(file string, modules []string) (path, why string) {
	candidates, probe := []string{"/usr/bin/python3", "python3"}, "import "+strings.Join(modules, ", ")
	if filepath.Ext(file) == ".cjs" {
		candidates, probe = []string{"node"}, "require('"+strings.Join(modules, "'); require('")+"')"
	}
	for _, c := range candidates {
		found, err := exec.LookPath(c)
		if err != nil {
			why = cmp.Or(why, "no "+c)
			continue
		}
		flag := map[string]string{".py": "-c", ".cjs": "-e"}[filepath.Ext(file)]
		cmd := exec.Command(found, flag, probe)
		cmd.Env = append(os.Environ(), "NODE_PATH="+nodePath())
		if err := cmd.Run(); err == nil {
			return found, ""
		}
		why = fmt.Sprintf("%s lacks one of %s", found, strings.Join(modules, ", "))
	}
	return "", why
}

func nodePath() string { return filepath.Join(os.Getenv(driversVariable), "node_modules") }

// runForeign runs a program in d at addr, which must end well, and returns what it says of itself.
func runForeign(t *testing.T, runtime, file, addr string, d *pgserver.Database) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, runtime, file)
	cmd.Dir = filepath.Join("testdata", "drivers")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", "NODE_PATH=" + nodePath(),
		"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + d.Server.Superuser(), "PGDATABASE=" + d.Name, "PGSSLMODE=disable",
		fmt.Sprint("CLIENTS=", driverClients), fmt.Sprint("ROUNDS=", driverRounds),
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s at %s: %v\n%s", file, addr, err, out)
	}
	return strings.TrimSpace(string(out))
}
