package arch

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// linesMax is far above the 400 that files aim at: what is longer has more
// than one concept in it. `make sizes` shows who is on the way there.
const linesMax = 600

// vagueNames say nothing about what a package is for.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "base"}

// clock is what of package time asks the world instead of its argument.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// seeded is what of math/rand and math/rand/v2 a pure package may use: a
// source that its caller has seeded.
var seeded = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}

func TestPurePackagesKnowNoTimeAndNoChance(t *testing.T) {
	for _, s := range load(t) {
		if table[s.path].pure {
			report(t, checkPure(s))
		}
	}
}

func TestPackagesAreNamedAndDescribed(t *testing.T) {
	for _, s := range load(t) {
		report(t, checkCustoms(s))
	}
}

// checkPure refuses what would make a package's answers depend on more than
// its input.
func checkPure(s source) (problems []string) {
	for _, f := range s.files {
		at := func(n ast.Node, what string) {
			problems = append(problems, fmt.Sprintf("%s:%d: %s in a pure package: pass it in", f.name, f.fset.Position(n.Pos()).Line, what))
		}
		names := make(map[string]string) // what the file calls an import -> its path
		for _, spec := range f.tree.Imports {
			p := strings.Trim(spec.Path.Value, `"`)
			name := strings.TrimSuffix(p, "/v2")
			name = path.Base(name)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			if name == "." && (p == "time" || strings.HasPrefix(p, "math/rand")) {
				at(spec, "dot import of "+p)
			}
			names[name] = p
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				at(n, "go statement")
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if !ok {
					break
				}
				word := x.Name + "." + n.Sel.Name
				switch names[x.Name] {
				case "time":
					if slices.Contains(clock, n.Sel.Name) {
						at(n, word)
					}
				case "math/rand", "math/rand/v2":
					if !slices.Contains(seeded, n.Sel.Name) {
						at(n, word)
					}
				}
			}
			return true
		})
	}
	return problems
}

// checkCustoms looks at what a reader meets first: name, comment, length.
func checkCustoms(s source) (problems []string) {
	for _, part := range strings.Split(s.path, "/") {
		if slices.Contains(vagueNames, part) {
			problems = append(problems, fmt.Sprintf("%s: %q does not say what the package is for", s.path, part))
		}
	}
	described := len(s.files) == 0 // tests only
	for _, f := range s.files {
		opening := "Package " + f.tree.Name.Name + " "
		if f.tree.Name.Name == "main" {
			opening = "Command " + path.Base(s.path) + " "
		}
		if f.tree.Doc != nil && strings.HasPrefix(f.tree.Doc.Text(), opening) {
			described = true
		}
		if f.lines > linesMax && !ast.IsGenerated(f.tree) {
			problems = append(problems, fmt.Sprintf("%s: %d lines, more than %d: split it by concept", f.name, f.lines, linesMax))
		}
	}
	if !described {
		problems = append(problems, fmt.Sprintf("%s: no package comment (purpose, owner, what it may import)", s.path))
	}
	return problems
}
