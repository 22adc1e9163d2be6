package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "weir"

// source is one package as the rules see it: its files for every system and
// every tag, without tests.
type source struct {
	path  string // below the module, "proxy/wire"
	files []file
}

type file struct {
	name  string // for messages
	fset  *token.FileSet
	tree  *ast.File
	lines int
}

// imports returns what the package imports and the file that does.
func (s source) imports() map[string]string {
	all := make(map[string]string)
	for _, f := range s.files {
		for _, spec := range f.tree.Imports {
			all[strings.Trim(spec.Path.Value, `"`)] = f.name
		}
	}
	return all
}

func TestImportsFollowTheTable(t *testing.T) {
	sources := load(t)
	report(t, checkRows(sources, table))
	for _, s := range sources {
		report(t, checkImports(s, table[s.path]))
	}
}

// checkRows compares the packages that exist with those that have a row.
func checkRows(sources []source, table map[string]rule) (problems []string) {
	exists := make(map[string]bool)
	for _, s := range sources {
		exists[s.path] = true
		if _, ok := table[s.path]; !ok {
			problems = append(problems, fmt.Sprintf("%s: no row in internal/arch/table_test.go says what it may import", s.path))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(table)) {
		row := table[path]
		if !exists[path] && !row.later {
			problems = append(problems, fmt.Sprintf("%s: has a row in internal/arch/table_test.go and does not exist", path))
		}
		for _, other := range row.ours {
			if _, ok := table[other]; !ok {
				problems = append(problems, fmt.Sprintf("%s: its row allows %s, which has no row itself", path, other))
			}
		}
	}
	return problems
}

// checkImports holds one package to its row.
func checkImports(s source, row rule) (problems []string) {
	imports := s.imports()
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		local, ours := strings.CutPrefix(path, module+"/")
		first, _, _ := strings.Cut(path, "/")
		var ok bool
		switch {
		case path == "C":
			ok = false
		case ours:
			ok = slices.Contains(row.ours, local)
		case strings.Contains(first, "."):
			ok = slices.ContainsFunc(row.outside, func(pattern string) bool { return matches(pattern, path) })
		default:
			ok = !slices.ContainsFunc(row.std, func(refused string) bool { return matches(refused+"/...", path) })
		}
		if !ok {
			problems = append(problems, fmt.Sprintf("%s: must not import %s: %s", imports[path], path, row.why))
		}
	}
	return problems
}

// matches compares an import with a path, or with "x/..." for x and all below.
func matches(pattern, path string) bool {
	root, below := strings.CutSuffix(pattern, "/...")
	return path == root || below && strings.HasPrefix(path, root+"/")
}

// load reads every package of the module.
func load(t *testing.T) []source {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var sources []source
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var listed struct{ ImportPath, Dir string }
		if err := dec.Decode(&listed); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		s := source{path: strings.TrimPrefix(listed.ImportPath, module+"/")}
		names, err := filepath.Glob(filepath.Join(listed.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parse(s.path+"/"+filepath.Base(name), text)
			if err != nil {
				t.Fatal(err)
			}
			s.files = append(s.files, f)
		}
		sources = append(sources, s)
	}
	if len(sources) < 2 {
		t.Fatal("go list finds this package alone: the checks would check nothing")
	}
	return sources
}

func parse(name string, text []byte) (file, error) {
	f := file{name: name, fset: token.NewFileSet(), lines: bytes.Count(text, []byte("\n"))}
	var err error
	f.tree, err = parser.ParseFile(f.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return f, err
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}
