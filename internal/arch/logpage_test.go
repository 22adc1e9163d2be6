package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// loggers are the methods that write a line of the log, whose message is a fixed text.
var loggers = []string{"Info", "Warn", "Error", "Debug", "warn", "logPin"}

// theirs begin what is said in PgBouncer's words, outside of the files that are named after it.
var theirs = []string{"got SIGUSR", "server login failed: FATAL"}

// TestLogPageHasEachMessage: who finds a line in the log finds it in docs/log.md.
func TestLogPageHasEachMessage(t *testing.T) {
	page, err := os.ReadFile("../../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, s := range load(t) {
		if s.path == "cmd/weir" || s.path == "proxy" || strings.HasPrefix(s.path, "proxy/") {
			n, problems := checkLogPage(s, string(page))
			seen += n
			report(t, problems)
		}
	}
	if seen < 50 {
		t.Errorf("only %d messages were found", seen)
	}
}

// checkLogPage counts a package's messages and names those that the page does not have, save what follows PgBouncer's log in words and form.
func checkLogPage(s source, page string) (seen int, problems []string) {
	for _, f := range s.files {
		if strings.Contains(f.name, "pgbouncer") {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			message := logged(call)
			if message != "" && !slices.ContainsFunc(theirs, func(begin string) bool { return strings.HasPrefix(message, begin) }) {
				seen++
				if !strings.Contains(page, "`"+message) {
					problems = append(problems, fmt.Sprintf("%s:%d: docs/log.md does not have %q", f.name, f.fset.Position(n.Pos()).Line, message))
				}
			}
			return true
		})
	}
	return seen, problems
}

// logged is the message of a call that writes a line, or how it begins; empty if there is none. Before it may stand the logger.
func logged(call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains(loggers, method.Sel.Name) {
		return ""
	}
	if of, ok := method.X.(*ast.Ident); ok && of.Name == "http" {
		return ""
	}
	for _, arg := range call.Args[:min(len(call.Args), 2)] {
		if sum, ok := arg.(*ast.BinaryExpr); ok {
			arg = sum.X
		}
		if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
			message, _ := strconv.Unquote(text.Value)
			return strings.TrimSpace(message)
		}
	}
	return ""
}
