package config

import (
	"strings"
	"testing"
)

// TestSeveralHosts: hosts and ports may be written as libpq takes them, or as lists.
func TestSeveralHosts(t *testing.T) {
	section := func(lines string) string { return "[databases.d]\n" + lines }
	for _, tt := range []struct{ file, dsn, want string }{
		{file: section("host = \"a\""), want: "a:5432"},
		{file: section("host = \"a, b,/run\""), want: "a:5432,b:5432,/run:5432"},
		{file: section("host = [\"a\", \"::1\"]\nport = 1"), want: "a:1,[::1]:1"},
		{file: section("host = \"a,b\"\nport = \"1,2\""), want: "a:1,b:2"},
		{file: section("host = \"a,b\"\nport = [1, 2]"), want: "a:1,b:2"},
		{file: section("host = \"a,b\"\nport = \",2\""), want: "a:5432,b:2"},
		{dsn: "postgres://a,b/d", want: "a:5432,b:5432"},
		{dsn: "postgres://a:1,[::1]:2,c/d?target_session_attrs=read-write&load_balance_hosts=random", want: "a:1,[::1]:2,c:5432"},
		{dsn: "host=a,b port=1,2", want: "a:1,b:2"},
		{dsn: "host=a,b port=7", want: "a:7,b:7"},
	} {
		var c *Config
		var err error
		name := "d"
		if tt.dsn != "" {
			c, err = FromEnvironment(noEnv, tt.dsn)
			name = AnyDatabase
		} else {
			c, err = Parse("weir.toml", []byte(tt.file), noEnv)
		}
		if err != nil {
			t.Errorf("%s%s: %v", tt.file, tt.dsn, err)
			continue
		}
		d := c.Databases[name]
		if got := d.Addresses(); got != tt.want {
			t.Errorf("%s%s: %s, want %s", tt.file, tt.dsn, got, tt.want)
		}
	}
	for file, want := range map[string]string{
		"host = \"a,b\"\nport = [1]":                        "1 ports for 2 hosts",
		"host = \"a,b\"\nport = [1, 0]":                     "from 1 to 65535",
		"host = \"a\"\nport = \"x\"":                        "want a port from 1 to 65535",
		"host = [\"a,b\"]":                                  "one host",
		"host = []":                                         "is missing",
		"host = \"a\"\ntarget_session_attrs = \"primarry\"": `did you mean "primary"?`,
	} {
		_, err := Parse("weir.toml", []byte(section(file)), noEnv)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

// TestHostsAreWrittenAsTheyAreRead: what weir check prints is a file with the same servers.
func TestHostsAreWrittenAsTheyAreRead(t *testing.T) {
	c, err := Parse("weir.toml", []byte("[databases.d]\nhost = [\"a\", \"b\"]\nport = [1, 2]\ntarget_session_attrs = \"primary\"\nload_balance_hosts = \"random\""), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.WriteTOML(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("weir.toml", []byte(b.String()), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	d := again.Databases["d"]
	if d.Addresses() != "a:1,b:2" || d.TargetSession != TargetPrimary || d.LoadBalance != BalanceRandom {
		t.Errorf("%+v", d)
	}
}
