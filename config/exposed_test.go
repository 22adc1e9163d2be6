package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFilesThatAllCanReadAreWarnedOf has every setting that names a file with a secret in it, but passwords and keys.
func TestFilesThatAllCanReadAreWarnedOf(t *testing.T) {
	for section, setting := range map[string]string{"auth": "salt_file", "http": "token_file"} {
		for mode, want := range map[os.FileMode]bool{0o644: true, 0o640: false} {
			dir := t.TempDir()
			secret := filepath.Join(dir, "secret")
			if err := os.WriteFile(secret, []byte("0123456789abcdef\n"), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(secret, mode); err != nil {
				t.Fatal(err)
			}
			loaded, err := parsed(dir, fmt.Sprintf("[%s]\n%s = %q\n", section, setting, secret))
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.ContainsFunc(loaded.Warnings(), func(w string) bool { return strings.HasPrefix(w, setting+" "+secret+" can be read by every account") }); got != want {
				t.Errorf("%s with mode %04o: %q", setting, mode, loaded.Warnings())
			}
		}
	}
}

func TestFilesWithPasswordsThatAllCanReadAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	secret, conf := filepath.Join(dir, "app.password"), filepath.Join(dir, "weir.toml")
	verifier := "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, c := range []struct {
		file, conf os.FileMode
		password   string
		want       []string
	}{
		{0o600, 0o644, "", nil},
		{0o640, 0o640, "hunter2", nil},
		{0o644, 0o640, "hunter2", []string{"password_file names " + secret}},
		{0o644, 0o644, "hunter2", []string{"passwords stand in clear in " + conf, "password_file names " + secret}},
		{0o600, 0o644, verifier, nil},
	} {
		text := fmt.Sprintf("[databases.shop]\nhost = \"h\"\n[users.app]\npassword_file = %q\n", secret)
		if c.password != "" {
			text += fmt.Sprintf("[users.other]\npassword = %q\n", c.password)
		}
		for path, of := range map[string]struct {
			text string
			mode os.FileMode
		}{secret: {"hunter3\n", c.file}, conf: {text, c.conf}} {
			if err := os.WriteFile(path, []byte(of.text), of.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, of.mode); err != nil {
				t.Fatal(err)
			}
		}
		loaded, err := Load(conf)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range loaded.Warnings() {
			if strings.Contains(w, "every account of this machine can read") {
				got = append(got, w)
			}
		}
		if len(got) != len(c.want) {
			t.Fatalf("%04o, %04o: %q, want %q", c.file, c.conf, got, c.want)
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%q, want %q", got[i], want)
			}
		}
	}
}
