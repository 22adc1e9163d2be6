package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

const hidden = "hunter2-hunter2"

// prints is every way in which somebody may print a value by mistake.
func prints(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	fmt.Fprintln(&b, v, fmt.Errorf("%v", v))
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "v", v)
	return b.String()
}

func mustNotHold(t *testing.T, what, text string) {
	t.Helper()
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), "hunter2"} {
		if strings.Contains(text, form) {
			t.Errorf("%s gives %q away:\n%s", what, form, text)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := NewSecret(hidden)
	type inside struct {
		Shown  Secret
		hidden Secret // fmt prints unexported fields without calling their methods
	}
	for what, v := range map[string]any{
		"secret": s, "pointer": &s, "field": inside{s, s}, "pointer to field": &inside{s, s},
		"slice": []Secret{s}, "map": map[string]Secret{"k": s}, "any": []any{s},
		"database": Database{Password: s}, "user": &User{Password: s},
	} {
		text := prints(t, v)
		mustNotHold(t, what, text)
		if !strings.Contains(text, mask) {
			t.Errorf("%s: no mask in\n%s", what, text)
		}
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(map[string]any{"s": s}); err != nil {
		t.Fatal(err)
	}
	mustNotHold(t, "toml", b.String())
	if s.Reveal() != hidden || !s.IsSet() {
		t.Error("the secret has lost its text")
	}
	if (Secret{}).IsSet() || NewSecret("").IsSet() || (Secret{}).String() != "" || (Secret{}).Reveal() != "" {
		t.Error("no secret is not empty")
	}
}

// However a secret gets into a Config, nothing that a Config can be turned into shows it, nor does an error.
func TestConfigNeverShowsASecret(t *testing.T) {
	env := func(name string) (string, bool) { return hidden, name == "SECRET" || name == "PGPASSWORD" }
	c, err := Parse("weir.toml", []byte(`
		[databases.a]
		host = "h"
		password = "`+hidden+`"
		[databases.b]
		host = "h"
		password_env = "SECRET"
		[users.u]
		password = "`+hidden+`"
		[users.v]
		password_env = "SECRET"`), env)
	if err != nil {
		t.Fatal(err)
	}
	fromEnv, err := FromEnvironment(env, "")
	if err != nil {
		t.Fatal(err)
	}
	fromDSN, err := FromEnvironment(noEnv, "postgres://u:"+hidden+"@h/db")
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]*Config{"file": c, "environment": fromEnv, "DSN": fromDSN} {
		revealed := 0
		for _, d := range c.Databases {
			if d.Password.Reveal() == hidden {
				revealed++
			}
		}
		if revealed == 0 {
			t.Errorf("%s: the secret did not arrive", what)
		}
		var b bytes.Buffer
		if err := c.WriteTOML(&b); err != nil {
			t.Fatal(err)
		}
		mustNotHold(t, what, b.String()+prints(t, c)+prints(t, *c)+strings.Join(c.Warnings(), "\n"))
	}
}

func TestErrorsNeverShowASecret(t *testing.T) {
	for _, text := range []string{
		"[users.u]\npassword = " + hidden, "[users.u]\npassword = '" + hidden, "[users.u]\npassword " + hidden,
		"[users.u]\npassword = \"" + hidden + "\n\"", "[users.u]\npassword = [\"" + hidden + "\"]",
		"[users.u]\npassword = \"x\"" + hidden, "[users]\nu = \"" + hidden + "\"",
		"[databases.d]\npassword = \"SCRAM-SHA-256$" + hidden + "\"", "[databases]\nd = \"password=" + hidden + "\"",
	} {
		_, err := Parse("weir.toml", []byte(text), noEnv)
		if err == nil {
			t.Errorf("accepted: %s", text)
			continue
		}
		mustNotHold(t, text, err.Error())
	}
	for _, dsn := range []string{
		"postgres://u:" + hidden + "@h:port/db", "postgres://u:" + hidden + "%@h", "postgres://u:/" + hidden + "@h/db",
		"postgres://u:x?" + hidden + "@h", "host=h password=x " + hidden,
		"host=h password='" + hidden, "host=h passwort=" + hidden, "host=h password=" + hidden + " password=" + hidden,
		"postgres://u:" + hidden + "@h1,,h2/db", "postgres://u:" + hidden + "@h?sslmode=verify-ca", "postgres://u@" + hidden + ":x@h:y",
	} {
		_, err := FromEnvironment(noEnv, dsn)
		if err == nil {
			t.Errorf("accepted: %s", dsn)
			continue
		}
		mustNotHold(t, dsn, err.Error())
	}
}

func TestFormOfAPassword(t *testing.T) {
	const key = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	for _, tt := range []struct {
		text string
		want PasswordForm
		ok   bool
	}{
		{"clear", FormClear, true},
		{"md5d41d8cd98f00b204e9800998ecf8427e", FormMD5, true},
		{"md5D41D8CD98F00B204E9800998ECF8427E", FormClear, true}, // PostgreSQL writes lower case
		{"md5short", FormClear, true},
		{"SCRAM-SHA-256$4096:c2FsdA==$" + key + ":" + key, FormSCRAM, true},
		{"SCRAM-SHA-256$4096:c2FsdA==$" + key, FormNone, false},
		{"SCRAM-SHA-256$0:c2FsdA==$" + key + ":" + key, FormNone, false},
		{"SCRAM-SHA-256$4096:c2FsdA==$c2FsdA==:" + key, FormNone, false},
		{"SCRAM-SHA-256$4096:*$" + key + ":" + key, FormNone, false},
		{"SCRAM-SHA-256$4096:c2FsdA==:" + key + "$" + key + "$", FormNone, false},
		{strings.Repeat("x", secretMax), FormClear, true},
		{strings.Repeat("x", secretMax+1), FormNone, false},
	} {
		var s Secret
		if err := setSecret(&s, tt.text, "is"); (err == nil) != tt.ok || s.Form() != tt.want {
			t.Errorf("%.60s: got %s, %v", tt.text, s.Form(), err)
		}
	}
}
