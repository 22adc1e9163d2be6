package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestQueryThatNamesOnlyTheSystemsIsTold(t *testing.T) {
	for query, want := range map[string]bool{
		DefaultAuthQuery: false,
		"SELECT usename, passwd FROM pg_shadow WHERE usename=$1":                                        false,
		"SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname OPERATOR(pg_catalog.=) $1": false,
		"SELECT * FROM weir.lookup($1)":                                                                 true,
		"SELECT * FROM pg_catalog . lookup($1)":                                                         true,
		`SELECT * FROM "pg_catalog".x($1)`:                                                              true,
		"SELECT s.usename FROM pg_shadow s":                                                             true, // it may be a schema
	} {
		if got := NamesOthers(query); got != want {
			t.Errorf("%s: %v", query, got)
		}
	}
}

// parsed is a configuration beside the files of a folder.
func parsed(dir, text string) (*Config, error) {
	return Parse(filepath.Join(dir, "weir.toml"), []byte(text), func(string) (string, bool) { return "", false })
}

// TestSaltMaterialIsThatOfTheConfiguration: it is the same for two weirs with the same passwords, whatever else they say and in whatever
// order, and another one with any password changed; salt_file wins.
func TestSaltMaterialIsThatOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("users.txt", "\"a\" \"one\"\n\"b\" \"two\"\n")
	write("same.txt", "; sorted otherwise\n\"b\" \"two\"\n\"a\" \"one\"\n")
	write("other.txt", "\"a\" \"one\"\n\"b\" \"three\"\n")
	write("salt", "a secret of the service\n")
	write("short", "fifteen bytes..")
	material := func(text string) string {
		t.Helper()
		c, err := parsed(dir, text)
		if err != nil {
			t.Fatal(err)
		}
		return c.SaltMaterial().Reveal()
	}
	const base = "[auth]\nauth_file = \"users.txt\"\n[users.c]\npassword = \"four\"\n[databases.d]\nhost = \"h\"\npassword = \"five\"\n"
	want := material(base)
	if want == "" {
		t.Error("no material")
	}
	for name, text := range map[string]string{
		"another order of the file": strings.Replace(base, "users.txt", "same.txt", 1),
		"another host":              strings.Replace(base, `"h"`, `"h2"`, 1),
		"another pool":              base + "pool_size = 7\n",
	} {
		if material(text) != want {
			t.Errorf("%s: another material", name)
		}
	}
	for name, text := range map[string]string{
		"a user's password in the file": strings.Replace(base, "users.txt", "other.txt", 1),
		"a user's password":             strings.Replace(base, "four", "4", 1),
		"a database's password":         strings.Replace(base, "five", "5", 1),
		"a user's name":                 strings.Replace(base, "users.c", "users.e", 1),
		"salt_file":                     strings.Replace(base, "[auth]", "[auth]\nsalt_file = \"salt\"", 1),
	} {
		if material(text) == want {
			t.Errorf("%s: the same material", name)
		}
	}
	if got := material("[auth]\nsalt_file = \"salt\"\n"); got != "a secret of the service" {
		t.Errorf("salt_file: %q", got)
	}
	if got := material("[databases.d]\nhost = \"h\"\n"); got != "" {
		t.Errorf("without any password: %q", got)
	}
	for _, name := range []string{"short", "none"} {
		if _, err := parsed(dir, "[auth]\nsalt_file = \""+name+"\"\n"); err == nil || !strings.Contains(err.Error(), "salt_file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamesThatNoUserCanHaveAreRefused: the server cuts them, and so does weir those of clients, so they would never be found.
func TestNamesThatNoUserCanHaveAreRefused(t *testing.T) {
	dir := t.TempDir()
	for n, want := range map[int]bool{63: true, 64: false} {
		name := strings.Repeat("u", n)
		if err := os.WriteFile(filepath.Join(dir, "users.txt"), fmt.Appendf(nil, "%q \"x\"\n", name), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"[users." + name + "]\npassword = \"x\"\n", "[auth]\nauth_file = \"users.txt\"\n", "[auth]\nauth_user = \"" + name + "\"\n"} {
			if _, err := parsed(dir, text); (err == nil) != want || err != nil && !strings.Contains(err.Error(), "63 bytes") {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

func TestVerifierOfTooManyIterationsIsDamaged(t *testing.T) {
	const verifier = "SCRAM-SHA-256$%s:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for n, want := range map[string]bool{"4096": true, "2147483647": true, "2147483648": false, "99999999999999999999": false, "0": false} {
		if got := isVerifier(fmt.Sprintf(verifier, n)); got != want {
			t.Errorf("%s: %v", n, got)
		}
	}
}

func TestWhatWeirCannotAskIsRefusedByName(t *testing.T) {
	for _, method := range []string{"ldap", "pam"} {
		_, err := Parse("test.toml", []byte("[auth]\ntype = \""+method+"\"\n[databases.x]\nhost = \"h\"\n"), nil)
		if err == nil || !strings.Contains(err.Error(), `type "`+method+`" is not supported: weir knows no `+strings.ToUpper(method)) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// TestFilesThatRulesNameAreAmongThose of the configuration, which [reload] watches: also one that is not there yet, and a folder.
func TestFilesThatRulesNameAreAmongThoseOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(at("rules.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"hba":            "include more\ninclude_if_exists none\ninclude_dir rules.d\nhost all @users all trust\nhost all @users 10.0.0.0/8 trust\n",
		"more":           "local all all trust\n",
		"users":          "@others\n",
		"others":         "app\n",
		"rules.d/a.conf": "host all all ::1/128 reject\n",
		"ident":          "include maps\n",
		"maps":           "m a b\n",
		"weir.toml":      "[auth]\ntype = \"hba\"\nhba_file = \"hba\"\nident_file = \"ident\"\n[databases.d]\nhost = \"h\"\n",
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(at("weir.toml"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ident", "maps", "hba", "more", "none", "rules.d", "rules.d/a.conf", "users", "others", "weir.toml"}
	for i, name := range want {
		want[i] = at(name)
	}
	if !slices.Equal(c.Files, want) {
		t.Errorf("files\n%q, want\n%q", c.Files, want)
	}
}
