package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mustRead reads a userlist that must be right.
func mustRead(t *testing.T, text string) map[string]Secret {
	t.Helper()
	return readUserlist("userlist.txt", text, func(where, format string, args ...any) {
		t.Errorf("%s: %s\n%s", where, fmt.Sprintf(format, args...), text)
	})
}

// The lines are PgBouncer's documentation's, and what its loader takes beyond that.
func TestUserlistIsReadAsPgBouncerReadsIt(t *testing.T) {
	const verifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	for _, c := range []struct {
		line, user, password string
		form                 PasswordForm
	}{
		{`"username1" "password" ...`, "username1", "password", FormClear},
		{`"username2" "md5abcdef012342345"`, "username2", "md5abcdef012342345", FormClear}, // 32 digits are a hash, this is none
		{`"admin" "md545f2603610af569b6155c45067268c6b"`, "admin", "md545f2603610af569b6155c45067268c6b", FormMD5},
		{`"scram" "` + verifier + `"`, "scram", verifier, FormSCRAM},
		{`"no" ""`, "no", "", FormNone},
		{`"a""b" "c""d"`, `a"b`, `c"d`, FormClear},
		{`"""" """"`, `"`, `"`, FormClear},
		{`"a b;#" " x "`, "a b;#", " x ", FormClear},
		{"\t \"tab\"\t\"x\"\t\"third\"\r", "tab", "x", FormClear},
		{`"close"` + "\v" + `"x"`, "close", "x", FormClear},
		{`"adjacent" "x"y"z"`, "adjacent", "x", FormClear},
		{`; "not" "this"`, "", "", FormNone},
		{"", "", "", FormNone},
	} {
		got := mustRead(t, c.line+"\n")
		secret, ok := got[c.user]
		if c.user == "" {
			if len(got) > 0 {
				t.Errorf("%s: %d users", c.line, len(got))
			}
			continue
		}
		if !ok || secret.Reveal() != c.password || secret.Form() != c.form || len(got) != 1 {
			t.Errorf("%s: %v, password %q, %v", c.line, ok, secret.Reveal(), secret.Form())
		}
	}
}

func TestUserlistMayEndWithoutALineEnd(t *testing.T) {
	if got := mustRead(t, "\ufeff\"a\" \"x\"\n\"b\" \"y\""); len(got) != 2 || got["b"].Reveal() != "y" {
		t.Errorf("got %v", got)
	}
}

func TestPasswordsOfUsersWinOverTheUserlist(t *testing.T) {
	c := parse(t, "[users.own]\npassword = \"own\"\n[users.bare]\npool_size = 1")
	c.Accounts = map[string]Secret{"own": NewSecret("theirs"), "bare": NewSecret("theirs"), "only": {}}
	for user, want := range map[string]string{"own": "own", "bare": "theirs", "only": "", "none": ""} {
		got, known := c.Account(user)
		if got.Reveal() != want || known != (user != "none") {
			t.Errorf("%s: %q, %v", user, got.Reveal(), known)
		}
	}
}

func TestReadableUserlistIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "userlist.txt")
	if err := os.WriteFile(list, []byte(`"a" "x"`), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]bool{0o640: false, 0o644: true} {
		if err := os.Chmod(list, mode); err != nil {
			t.Fatal(err)
		}
		c, err := Parse(filepath.Join(dir, "weir.toml"), []byte("[auth]\nauth_file = \"userlist.txt\"\n[databases.x]\nhost = \"h\""), noEnv)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(c.Warnings(), "\n"), "can be read by every account"); got != want {
			t.Errorf("mode %o: %q", mode, c.Warnings())
		}
	}
}

// FuzzUserlist reads anything; and what is written as a userlist must be what is read.
func FuzzUserlist(f *testing.F) {
	for _, s := range []string{"\"a\" \"b\"\n", "; x\n\"a\"", `"a" "md545f2603610af569b6155c45067268c6b"`, "\"\"\"\" \"\"", "\x00", `"a" "SCRAM-SHA-256$1"`} {
		f.Add(s, "na\"me", "pass\"word")
	}
	f.Fuzz(func(t *testing.T, text, user, password string) {
		lines := strings.Count(text, "\n") + 1
		readUserlist("u", text, func(where, _ string, _ ...any) {
			var line, column int
			if n, err := fmt.Sscanf(where, "u:%d:%d", &line, &column); n != 2 || line < 1 || line > lines || column < 1 {
				t.Fatalf("%s: %v", where, err)
			}
		})
		if checkName(user) != nil || setSecret(new(Secret), password, "") != nil || strings.ContainsAny(user+password, "\n\r") {
			return
		}
		quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		got := mustRead(t, quoted(user)+" "+quoted(password)+"\n")
		if len(got) != 1 || got[user].Reveal() != password {
			t.Fatalf("%q %q came back as %v", user, password, got)
		}
	})
}
