package config

import (
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
		{"timeouts", "query_wait_timeout", "7"}, {"timeouts", "query_wait_timeout", "0.5"}, {"pool", "pool_size", "3"}, {"pool", "mode", "session"},
		{"listen", "tcp_keepalive", "0"}, {"admin", "stats_users", "a, b"}, {"log", "level", "debug"}, {"limits", "max_client_conn", "0x10"},
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
