// Command cross type-checks all of weir's packages and their tests as they are on other platforms. It does so from source, which takes a tenth of the
// time that compiling them, their modules and the standard library for each takes.
//
// Usage, in this folder: go run . OS/ARCH ...
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	failed := false
	for _, platform := range os.Args[1:] {
		goos, goarch, _ := strings.Cut(platform, "/")
		all, err := packages.Load(&packages.Config{
			Dir:   "../..",
			Mode:  packages.LoadAllSyntax,
			Tests: true,
			Env:   append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch),
		}, "weir/...")
		switch {
		case err != nil:
			fmt.Fprintf(os.Stderr, "%s: %v\n", platform, err)
			failed = true
		case packages.PrintErrors(all) > 0:
			fmt.Fprintf(os.Stderr, "this is what %s says\n", platform)
			failed = true
		default:
			fmt.Printf("%s: %d packages\n", platform, len(all))
		}
	}
	if failed {
		os.Exit(1)
	}
}
