package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version that packages are made of: make packages sets it.
var release string

type versionCmd struct{}

// Run prints one line: version, commit, Go.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, versionLine(debug.ReadBuildInfo()))
	return err
}

// version is that of the packages, or what the build recorded.
func version(info *debug.BuildInfo, ok bool) string {
	switch {
	case release != "":
		return release
	case ok && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	}
	return "development"
}

// versionLine says what the build recorded of itself; without a version-control system at hand it records no commit.
func versionLine(info *debug.BuildInfo, ok bool) string {
	version, commit, changed := version(info, ok), "", ""
	if ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	if commit != "" {
		version += " (commit " + commit[:min(12, len(commit))] + changed + ")"
	}
	return fmt.Sprintf("weir %s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
