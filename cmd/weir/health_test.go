package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/testca"
)

// draining is how a weir answers that lives and must get no new clients.
var draining = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/healthz" {
		http.Error(w, "draining", http.StatusServiceUnavailable)
	}
})

func TestHealthTellsLifeFromReadiness(t *testing.T) {
	// On every address, as in a container.
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: draining}}
	s.Start()
	defer s.Close()
	address := fmt.Sprintf("0.0.0.0:%d", l.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "weir.toml")
	toml := fmt.Sprintf("[http]\naddress = %q\n[databases.\"*\"]\nhost = \"127.0.0.1\"\n", address)
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, args := range [][]string{{"-c", file}, {"--http", address}} {
		var out, problems strings.Builder
		code := run(append([]string{"health"}, args...), streams{out: &out, err: &problems})
		if code != exitOK || out.Len()+problems.Len() > 0 {
			t.Errorf("%v: exit %d, %s%s", args, code, &out, &problems)
		}
		code = run(append([]string{"health", "--ready"}, args...), streams{out: &out, err: &problems})
		if code != exitFailed || !strings.Contains(problems.String(), "503 Service Unavailable: draining") {
			t.Errorf("%v --ready: exit %d, %s", args, code, &problems)
		}
	}
}

func TestHealthSaysWhyItCannotAsk(t *testing.T) {
	silent := filepath.Join(t.TempDir(), "weir.toml")
	if err := os.WriteFile(silent, []byte("[http]\naddress = \"\"\n[databases.\"*\"]\nhost = \"127.0.0.1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-c", silent}, "serves no HTTP"},
		{[]string{"-c", "none.toml"}, "none.toml"},
		{[]string{"--http", nobody}, "refused"},
	} {
		var problems strings.Builder
		if code := run(append([]string{"health"}, c.args...), streams{out: &problems, err: &problems}); code != exitFailed {
			t.Errorf("%v: exit %d", c.args, code)
		}
		if !strings.Contains(problems.String(), c.says) {
			t.Errorf("%v: %q does not say %q", c.args, &problems, c.says)
		}
	}
}

func TestHealthAsksOverTLSWhereHTTPHasIt(t *testing.T) {
	s := httptest.NewTLSServer(draining)
	defer s.Close()
	address, dir := s.Listener.Addr().String(), t.TempDir()
	testca.New("ca").Localhost().Write(dir, "weir")
	file := filepath.Join(dir, "weir.toml")
	toml := fmt.Sprintf("[http]\naddress = %q\ncert_file = \"weir.crt\"\nkey_file = \"weir.key\"\n[databases.\"*\"]\nhost = \"127.0.0.1\"\n", address)
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-c", file}, {"--http", "https://" + address}} {
		var problems strings.Builder
		if code := run(append([]string{"health"}, args...), streams{out: &problems, err: &problems}); code != exitOK || problems.Len() > 0 {
			t.Errorf("%v: exit %d, %s", args, code, &problems)
		}
	}
}
