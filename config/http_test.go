package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A reload has to tell that a token is another one, and must not tell which.
func TestATokenThatChangesIsToldAndNotShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	read := func(token, toml string) *Config {
		if err := os.WriteFile(file, []byte(token+"\r\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Parse("weir.toml", []byte(toml), noEnv)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const one, two = "the-first-secret-token", "the-second-secret-token"
	inFile := "[http]\ntoken_file = " + quote(file)
	for _, tt := range []struct {
		old, now *Config
		want     string
	}{
		{read(one, inFile), read(two, inFile), "[http] token_file: what it says has changed"},
		{read("", "[http]\ntoken = "+quote(one)), read("", "[http]\ntoken = "+quote(two)), "[http] token: changed"},
	} {
		changes := tt.now.Changes(tt.old)
		if len(changes) != 1 || changes[0].String() != tt.want {
			t.Errorf("%v, want %s", changes, tt.want)
		}
		if tt.old.HTTPToken.Reveal() != one || tt.now.HTTPToken.Reveal() != two {
			t.Error("the token is not what was written")
		}
	}
	for _, w := range read(one, inFile+"\naddress = \":9127\"").Warnings() {
		if strings.Contains(w, "token_file "+file+" can be read") {
			return
		}
	}
	t.Error("every account may read the token, and there is no warning")
}
