package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is expected instead of comparing with it")

// noEnv is an environment in which nothing is set.
func noEnv(string) (string, bool) { return "", false }

// testEnv is what testdata relies on.
func testEnv(name string) (string, bool) {
	v, ok := map[string]string{"SHOP_PASSWORD": "from-the-environment", "EMPTY": ""}[name]
	return v, ok
}

// parse reads a text that must be right.
func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("weir.toml", []byte(text), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// golden compares with a file beside the input, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update to accept):\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}

// parseFile reads a file of testdata under its bare name, so that messages do not depend on the folder.
func parseFile(t *testing.T, file string) (*Config, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata")
	if err := os.Chmod("userlist.txt", 0o640); err != nil { // git keeps no more than whether a file is a program
		t.Fatal(err)
	}
	return Parse(filepath.Base(file), text, testEnv)
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(found), err)
	}
	for i := range found {
		found[i], _ = filepath.Abs(found[i])
	}
	return found
}

// What a good file comes to is written beside it as `weir check` prints it, warnings first.
func TestGoodFilesAreReadAsPrinted(t *testing.T) {
	for _, file := range files(t, "testdata/*.good.toml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := parseFile(t, file)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			for _, w := range c.Warnings() {
				b.WriteString("# warning: " + w + "\n")
			}
			if err := c.WriteTOML(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".toml")+".out", b.String())
			again, err := Parse("printed.toml", b.Bytes(), noEnv)
			if err != nil {
				t.Fatalf("what was printed cannot be read: %v", err)
			}
			var second bytes.Buffer
			if err := again.WriteTOML(&second); err != nil {
				t.Fatal(err)
			}
			if got := stripWarnings(b.String()); got != second.String() {
				t.Errorf("what was printed means something else:\n%s\n--- printed again:\n%s", got, second.String())
			}
		})
	}
}

func stripWarnings(text string) string {
	for strings.HasPrefix(text, "# warning") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// What is wrong with a bad file is written beside it, all of it, in the order of the file.
func TestBadFilesNameEveryProblem(t *testing.T) {
	for _, file := range files(t, "testdata/*.bad.toml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := parseFile(t, file)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if _, ok := errors.AsType[Problems](err); !ok {
				t.Errorf("error is a %T", err)
			}
			golden(t, strings.TrimSuffix(file, ".toml")+".out", err.Error()+"\n")
			for _, secret := range []string{"hunter2", "from-the-environment"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the message gives the secret %q away", secret)
				}
			}
		})
	}
}

func TestUnreadableFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long.toml")
	if err := os.WriteFile(long, bytes.Repeat([]byte("#"), fileMax+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(dir, "none.toml"), dir, long} {
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error is %v", file, err)
		}
	}
	if err := os.WriteFile(long, bytes.Repeat([]byte("#"), fileMax), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(long); err != nil {
		t.Errorf("a file at the limit: %v", err)
	}
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	var got, want bytes.Buffer
	if err := parse(t, "").WriteTOML(&got); err != nil {
		t.Fatal(err)
	}
	if err := Default().WriteTOML(&want); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want.String())
	}
	if strings.Contains(want.String(), "default:") {
		t.Error("the default differs from the default")
	}
}

func TestDatabaseFallsBackToAny(t *testing.T) {
	c := parse(t, `
		[databases.shop]
		host = "a"
		[databases.books]
		host = "b"
		dbname = "library"
		[databases."*"]
		host = "c"`)
	for _, tt := range []struct{ asked, host, dbname string }{
		{"shop", "a", "shop"}, {"books", "b", "library"}, {"other", "c", "other"}, {"*", "c", "*"},
	} {
		d, ok := c.Database(tt.asked)
		if !ok || d.Host != tt.host || d.DBName != tt.dbname || d.Port != 5432 {
			t.Errorf("%s: got %v %s:%d/%s", tt.asked, ok, d.Host, d.Port, d.DBName)
		}
	}
	delete(c.Databases, "*")
	if d, ok := c.Database("other"); ok {
		t.Errorf("without a fall-back, other is %v", d)
	}
}

func TestUnixSocketHasThePortOfTheFirstAddress(t *testing.T) {
	for _, tt := range []struct {
		addresses []string
		want      int
	}{
		{nil, 6432}, {[]string{"127.0.0.1:0"}, 6432}, {[]string{"127.0.0.1:0", ":7000", ":8000"}, 7000},
	} {
		if got := (Listen{Addresses: tt.addresses}).SocketPort(); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.addresses, got, tt.want)
		}
	}
}
