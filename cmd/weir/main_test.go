package main

import (
	"bytes"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			// What libpq's variables say on the tester's machine must not decide.
			e.Vars = append(e.Vars, "PGHOST=", "PGHOSTADDR=", "PGPORT=", "PGPASSWORD=", "PGSSLMODE=", "PGSSLROOTCERT=", "PGSSLCERT=", "PGSSLKEY=", "PGSERVICE=", "PGSERVICEFILE=")
			return nil
		},
	})
}

func TestVersionNamesTheCommit(t *testing.T) {
	info := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	if got := versionLine(info, true); !strings.HasPrefix(got, "weir v1.2.3 (commit 0123456789ab with changes), go1.") {
		t.Errorf("got %q", got)
	}
	if got := versionLine(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, true); !strings.HasPrefix(got, "weir development, go1.") {
		t.Errorf("got %q", got)
	}
	if got := versionLine(nil, false); !strings.HasPrefix(got, "weir development, go1.") {
		t.Errorf("got %q", got)
	}
}

// By the name pgbouncer there is no other help than that of this command line, so that is what a wrong one is led to.
func TestHelpIsThatOfTheNameItWasCalledBy(t *testing.T) {
	for _, name := range []string{"pgbouncer", "weir"} {
		var out, err bytes.Buffer
		if code := runPgBouncer(name, []string{"-x", "a.ini"}, streams{out: &out, err: &err}); code != exitUsage || !strings.Contains(err.String(), "Try: "+name+" --help") {
			t.Errorf("%s: %d %s", name, code, &err)
		}
		if code := runPgBouncer(name, []string{"--help"}, streams{out: &out, err: &err}); code != exitOK || !strings.Contains(out.String(), "Usage: "+name+" ") {
			t.Errorf("%s: %d %s", name, code, &out)
		}
	}
}
