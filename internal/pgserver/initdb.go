package pgserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// initData makes a fresh data folder by copying a template, which is initialised once per version and arguments:
// initdb costs a second or more, the copy a few hundredths.
func initData(ctx context.Context, progs programs, run runAs, opts Options, dir string) error {
	template, err := findTemplate(ctx, progs, run, opts)
	if err != nil {
		return err
	}
	// cp keeps owner and modes, and clones blocks where the file system can.
	out, err := run.command(ctx, "cp", "-Rp", template, dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy the data folder: %w: %s", err, out)
	}
	return nil
}

// templates is where templates are kept: the temporary folder as it was when this program began. A test that gives itself another
// one shares the template all the same.
var templates = os.TempDir()

// findTemplate returns the template's folder and makes it if there is none.
func findTemplate(ctx context.Context, progs programs, run runAs, opts Options) (string, error) {
	args := append([]string{
		"--encoding=UTF8", "--auth=trust", "--no-sync", "--no-instructions",
		"--username=" + opts.Superuser,
	}, opts.InitArgs...)
	if !slices.ContainsFunc(opts.InitArgs, func(a string) bool { return strings.HasPrefix(a, "--locale") }) {
		args = append(args, "--locale="+defaultLocale())
	}
	sum := sha256.Sum256([]byte(strings.Join(append(args, progs.bin, progs.version, run.name), "\x00")))
	folder := run.enterable(templates)
	template := filepath.Join(folder, "weir-initdb-"+hex.EncodeToString(sum[:8]))
	if run.owns(template) {
		return template, nil
	}

	work, err := os.MkdirTemp(folder, "weir-initdb-new-")
	if err != nil {
		return "", fmt.Errorf("make the template's folder: %w", err)
	}
	defer os.RemoveAll(work)
	if err := run.chown(work); err != nil {
		return "", err
	}
	data := filepath.Join(work, "data")
	cmd := run.command(ctx, progs.find("initdb"), append(args, "--pgdata="+data)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, logTail(string(out)))
	}
	if err := includeSettings(data); err != nil {
		return "", err
	}
	err = os.Rename(data, template)
	if err != nil && run.owns(template) {
		return template, nil // another process was quicker; both are alike
	}
	if err != nil {
		return "", fmt.Errorf("keep the template: %w", err)
	}
	return template, nil
}

// defaultLocale knows characters beyond ASCII where glibc can; elsewhere C is the one locale that is always there.
func defaultLocale() string {
	if runtime.GOOS == "linux" {
		out, err := exec.Command("locale", "-a").Output()
		if err == nil && strings.Contains(strings.ToLower(string(out)), "c.utf") {
			return "C.UTF-8"
		}
	}
	return "C"
}

// settingsFile holds our settings beside those of initdb, over which they win.
const settingsFile = "weir.conf"

func includeSettings(data string) error {
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open the template's settings: %w", err)
	}
	_, err = fmt.Fprintf(f, "\ninclude_if_exists = '%s'\n", settingsFile)
	return errors.Join(err, f.Close())
}

func writeSettings(data string, settings map[string]string) error {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = %s\n", name, quoteLiteral(settings[name]))
	}
	path := filepath.Join(data, settingsFile)
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write the server's settings: %w", err)
	}
	return nil
}

// owns says whether path is a private folder of the server's user. Temporary folders are open to all, so a folder of
// the right name may be another account's.
func (r runAs) owns(path string) bool {
	st, err := os.Lstat(path)
	if err != nil || !st.IsDir() || st.Mode().Perm() != 0o700 {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Uid == r.uid
}
