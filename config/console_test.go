package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func accepted(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.toml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConsoleNamesAreTheConsoleUnlessADatabaseHasThem(t *testing.T) {
	c := accepted(t, "[databases.\"*\"]\nhost = \"h\"\n")
	for name, want := range map[string]bool{"pgbouncer": true, "weir": true, "shop": false, "*": false} {
		if c.IsConsole(name) != want {
			t.Errorf("%s: the console: %t", name, !want)
		}
	}
	if accepted(t, "[databases.weir]\nhost = \"h\"\n").IsConsole("weir") {
		t.Error("a database of its own section is the console")
	}
	for text, want := range map[string]string{
		"[databases.pgbouncer]\nhost = \"h\"\n":                              "is the admin console",
		"[auth]\nauth_dbname = \"pgbouncer\"\n[databases.x]\nhost = \"h\"\n": "auth_dbname cannot be",
		"[admin]\nstats_period = \"0s\"\n[databases.x]\nhost = \"h\"\n":      "at least 1s",
	} {
		if _, err := Parse("test.toml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestASettingCanBeChangedInACopy(t *testing.T) {
	c := accepted(t, "[databases.\"*\"]\nhost = \"h\"\n")
	for _, set := range [][3]string{
		{"timeouts", "query_wait_timeout", "7"},
		{"timeouts", "query_wait_timeout", "0.5"},
		{"pool", "pool_size", "3"},
		{"pool", "mode", "session"},
		{"listen", "tcp_keepalive", "0"},
		{"listen", "tcp_user_timeout", "5000"}, // PgBouncer's are milliseconds
		{"listen", "tcp_user_timeout", "0"},
		{"admin", "stats_users", "a, b"},
		{"log", "level", "debug"},
		{"limits", "max_client_conn", "0x10"},
	} {
		changed, err := c.WithSetting(set[0], set[1], set[2])
		if err != nil {
			t.Errorf("%v: %v", set, err)
			continue
		}
		for i, s := range changed.Shown() {
			was := c.Shown()[i].Value
			want := was
			if s.Section == set[0] && s.Name == set[1] {
				want = strings.Replace(set[2], "0x10", "16", 1)
			}
			if s.Value != want {
				t.Errorf("%v: %s is %q, want %q", set, s.Name, s.Value, want)
			}
		}
	}
	for _, set := range [][3]string{
		{"pool", "pool_size", "0"}, {"pool", "pool_size", "x"}, {"pool", "mode", "x"}, {"timeouts", "nothing", "1"}, {"pool", "min_pool_size", "100"},
	} {
		if _, err := c.WithSetting(set[0], set[1], set[2]); err == nil {
			t.Errorf("%v is taken", set)
		}
	}
}

// What SHOW CONFIG shows, SET takes: what an operator has noted can be put back.
func TestSettingsAreTakenAsTheyAreShown(t *testing.T) {
	c := accepted(t, "[limits]\nmax_packet_size = \"64KiB\"\n[pool]\nmax_prepared_bytes = \"3MiB\"\n"+
		"[timeouts]\nserver_lifetime = \"1ms\"\n[databases.\"*\"]\nhost = \"h\"\n")
	for _, s := range c.Shown() {
		if s.Secret || s.Restart {
			continue
		}
		for _, value := range []string{s.Default, s.Value} {
			changed, err := c.WithSetting(s.Section, s.Name, value)
			if err != nil {
				t.Errorf("[%s] %s: shown as %q: %v", s.Section, s.Name, value, err)
				continue
			}
			for _, now := range changed.Shown() {
				if now.Section == s.Section && now.Name == s.Name && now.Value != value {
					t.Errorf("[%s] %s: set to %q, and shown as %q", s.Section, s.Name, value, now.Value)
				}
			}
		}
	}
}

// A setting that names a file counts with what the file says.
func TestASettingThatNamesAFileIsReadWithIt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write("weir.toml", "[auth]\nauth_file = \"users.txt\"\n[databases.\"*\"]\nhost = \"h\"\n")
	write("users.txt", "\"one\" \"secret\"\n")
	write("others.txt", "\"two\" \"secret\"\n")
	write("hba.conf", "host all all all trust\n")
	write("bad.conf", "host all all all magic\n")
	write("token", "0123456789abcdef\n")
	c, err := Load(filepath.Join(dir, "weir.toml"))
	if err != nil {
		t.Fatal(err)
	}
	set := func(section, name, value string) {
		t.Helper()
		changed, err := c.WithSetting(section, name, value)
		if err != nil {
			t.Fatal(err)
		}
		c = changed
	}
	set("auth", "auth_file", "others.txt")
	if _, known := c.Account("one"); known {
		t.Error("a user of the former file can log in")
	}
	if _, known := c.Account("two"); !known {
		t.Error("a user of the new file cannot log in")
	}
	set("auth", "hba_file", filepath.Join(dir, "hba.conf"))
	set("auth", "type", "hba")
	if c.HBA == nil {
		t.Error("there are no rules")
	}
	set("http", "token_file", "token")
	if c.HTTPToken.Reveal() != "0123456789abcdef" {
		t.Error("the token is not that of the file")
	}
	if !slices.Contains(c.Files, filepath.Join(dir, "others.txt")) {
		t.Errorf("changes of the new file go unnoticed: %q", c.Files)
	}
	for _, bad := range [][3]string{{"auth", "hba_file", "bad.conf"}, {"auth", "auth_file", "none.txt"}, {"auth", "hba_file", ""}, {"client_tls", "ca_file", "none.crt"}} {
		if _, err := c.WithSetting(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
