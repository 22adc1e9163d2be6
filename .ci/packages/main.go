// Command packages makes what weir is installed from: a .deb and a .rpm of weir and of the bookstore, tarballs with both
// programs, and their checksums. Run it in the checkout's top folder, as make packages does. It is a module of its own
// because nothing else here needs the library that writes packages.
//
// The same source, Go and SOURCE_DATE_EPOCH give the same files, byte by byte.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// target is a system and a processor.
type target struct{ system, processor string }

func (t target) String() string { return t.system + "_" + t.processor }

// release is what all files of a run have in common.
type release struct {
	version string
	made    time.Time // the time that files carry
	out     string
}

func main() {
	out := flag.String("out", "out/packages", "`folder` for the files")
	systems := flag.String("systems", "linux,darwin", "systems")
	processors := flag.String("processors", "amd64,arm64", "processors")
	flag.Parse()
	if err := run(*out, strings.Split(*systems, ","), strings.Split(*processors, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "packages: %v\n", err)
		os.Exit(1)
	}
}

func run(out string, systems, processors []string) error {
	made, err := sourceDate()
	if err != nil {
		return err
	}
	r := release{version: os.Getenv("VERSION"), made: made, out: out}
	if r.version == "" {
		r.version = versionOf(made)
	}
	r.version = strings.TrimPrefix(r.version, "v")
	if strings.ContainsAny(r.version, "- /\n") {
		return fmt.Errorf("VERSION %q: packages take no hyphen and no blank in a version; write 1.2.0~rc1 for what comes before 1.2.0", r.version)
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, system := range systems {
		for _, processor := range processors {
			if err := r.make(target{system, processor}); err != nil {
				return fmt.Errorf("%s/%s: %w", system, processor, err)
			}
		}
	}
	return r.checksums()
}

// make builds the programs for a target, and what they are shipped in.
func (r release) make(t target) error {
	programs, err := os.MkdirTemp("", "weir-packages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(programs)
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -X main.release="+r.version, "-o", programs+"/", "./cmd/weir", "./cmd/bookstore")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.system, "GOARCH="+t.processor)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	if err := r.tarball(t, programs); err != nil {
		return err
	}
	if t.system != "linux" {
		return nil
	}
	return r.packages(t, programs)
}

// sourceDate is SOURCE_DATE_EPOCH, or the time of the last commit.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		text = git("log", "-1", "--format=%ct")
	}
	if text == "" {
		return time.Time{}, errors.New("no commit to take the time from: set SOURCE_DATE_EPOCH")
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// versionOf is the commit's tag, or a version below all that have one, which grows with the time of the commit.
func versionOf(made time.Time) string {
	if tag := git("describe", "--tags", "--exact-match", "--match", "v[0-9]*"); tag != "" {
		return strings.Replace(tag, "-", "~", 1)
	}
	version := "0.0.0~git" + made.Format("20060102150405")
	if commit := git("rev-parse", "--short=12", "HEAD"); commit != "" {
		version += "." + commit
	}
	return version
}

// git is what it says, or nothing.
func git(args ...string) string {
	out, err := exec.Command("git", args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// checksums writes SHA256SUMS, for sha256sum -c.
func (r release) checksums() error {
	files, err := filepath.Glob(filepath.Join(r.out, "*"))
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, file := range files { // in the order of their names
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), filepath.Base(file))
	}
	fmt.Print(sums.String())
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}
