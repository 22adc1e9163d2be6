package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a reload changes is told in the words of the file, and no secret with it.
func TestChangesAreToldInTheFilesWords(t *testing.T) {
	const shop = "[databases.shop]\nhost = \"a\"\n"
	for name, c := range map[string]struct{ old, now, want string }{
		"nothing":             {shop, shop, ""},
		"the same, spelt out": {shop, shop + "port = 5432\n[pool]\nmode = \"transaction\"\n", ""},
		"a setting":           {shop, shop + "[pool]\npool_size = 30\n", "[pool] pool_size: 20 -> 30"},
		"a time":              {shop, shop + "[timeouts]\nquery_timeout = \"90s\"\n", `[timeouts] query_timeout: "0s" -> "1m30s"`},
		"one that needs a restart": {
			shop, shop + "[listen]\naddresses = [\"127.0.0.1:1\"]\n",
			`[listen] addresses: ["127.0.0.1:6432"] -> ["127.0.0.1:1"] (needs a restart)`,
		},
		"sections": {
			shop + "[users.a]\npassword = \"x\"\n", "[databases.\"a b\"]\nhost = \"b\"\n[users.b]\n",
			"[databases.\"a b\"]: added\n[databases.shop]: removed\n[users.a]: removed\n[users.b]: added",
		},
		"a database's": {
			shop, "[databases.shop]\nhost = \"b\"\npool_size = 3\npassword = \"hunter2\"\n[databases.shop.server_tls]\nsslmode = \"require\"\n",
			"[databases.shop] host: \"a\" -> \"b\"\n[databases.shop] password: changed\n[databases.shop] pool_size: unset -> 3\n" +
				"[databases.shop.server_tls] sslmode: unset -> \"require\"",
		},
		"a user's": {
			shop + "[users.a]\npassword = \"hunter2\"\nquery_timeout = \"1s\"\n", shop + "[users.a]\npassword = \"hunter3\"\n",
			"[users.a] password: changed\n[users.a] query_timeout: \"1s\" -> unset",
		},
		"peers": {
			shop + "[listen]\npeer_id = 1\n[peers.2]\nhost = \"a\"\n[peers.3]\nhost = \"b\"\n",
			shop + "[listen]\npeer_id = 4\n[peers.2]\nhost = \"a\"\nport = 6433\npgbouncer = true\n[peers.5-6]\nhost = \"weir-{id}\"\n",
			"[listen] peer_id: 1 -> 4 (needs a restart)\n[peers.2] port: 6432 -> 6433\n[peers.2] pgbouncer: false -> true\n[peers.3]: removed\n[peers.5-6]: added",
		},
		"what sessions begin with": {
			shop + "[databases.shop.settings]\nwork_mem = \"1MB\"\nTimeZone = \"UTC\"\n[users.a]\n",
			shop + "[databases.shop.settings]\nwork_mem = \"2MB\"\ntimezone = \"UTC\"\n[users.a.settings]\n\"app.tenant\" = 7\n",
			"[databases.shop.settings] work_mem: \"1MB\" -> \"2MB\"\n[users.a.settings] \"app.tenant\": unset -> \"7\"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			old, now := configOf(t, c.old), configOf(t, c.now)
			if got := told(now.Changes(old)); got != c.want {
				t.Errorf("told:\n%s\nwant:\n%s", got, c.want)
			}
			if left := now.Keeping(old).Changes(old); strings.Contains(told(left), needsRestart) {
				t.Errorf("what needs a restart is not kept:\n%s", told(left))
			}
		})
	}
}

// The files that [auth] names may be others under the same names.
func TestChangesInFilesAreTold(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() *Config {
		c, err := Parse(filepath.Join(dir, "weir.toml"), []byte("[auth]\nauth_file = \"users\"\nhba_file = \"hba\"\nsalt_file = \"salt\"\n"), noEnv)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	write("users", "\"a\" \"hunter1\"\n\"b\" \"hunter2\"\n")
	write("hba", "host all all all reject\n")
	write("salt", "sixteen bytes or more")
	old := load()
	if got := told(load().Changes(old)); got != "" {
		t.Errorf("of the same files: %s", got)
	}
	write("users", "\"a\" \"hunter3\"\n\"c\" \"hunter2\"\n")
	write("hba", "host all all all trust\n")
	write("salt", "other bytes, and not few")
	want := "[auth] auth_file: users: 1 added, 1 removed, 1 changed\n[auth] hba_file: what it says has changed\n[auth] salt_file: what it says has changed"
	if got := told(load().Changes(old)); got != want {
		t.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
}

func configOf(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("weir.toml", []byte(text), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func told(changes []Change) string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = c.String()
	}
	return strings.Join(lines, "\n")
}
