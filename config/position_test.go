package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// Positions are given in the text itself: each key or element that is asked for is followed by its number in «».
// What is in «» is taken out before the scan.
func TestPositionsOfKeys(t *testing.T) {
	text := strings.Join([]string{
		`«1»top = 1 # [not.a.table] x = 1`,
		`«2»"quoted \"key\" \u00e9" = '''`,
		`[multi] = "line"''''`,
		"",
		`  «3»dotted . "a.b" .c = [1, «4»[2, 3], # ] "`,
		`  «5»"x]", { in = "array" } ]`,
		`«6»date = 1979-05-27 07:32:00`,
		`«7»inline = { «8»a = 1, «9»b.c = { «10»d = "}" } }`,
		`«11»[ table . 'sub' ]`,
		"\t«12»key = \"\"\"a \\\"\"\"\" # key = 2 \"\"\"\"",
		`«13»[[ list ]]`,
		`«14»key = +1.5e3`,
		`[[list]]`,
		`key = 2`,
	}, "\r\n")
	marks := map[string][2]int{}
	mark := regexp.MustCompile(`«(\d+)»`)
	var clean strings.Builder
	for n, line := range strings.Split(text, "\n") {
		for {
			at := mark.FindStringSubmatchIndex(line)
			if at == nil {
				break
			}
			marks[line[at[2]:at[3]]] = [2]int{n + 1, len([]rune(line[:at[0]])) + 1}
			line = line[:at[0]] + line[at[1]:]
		}
		clean.WriteString(line + "\n")
	}
	var tree map[string]any
	if _, err := toml.Decode(clean.String(), &tree); err != nil {
		t.Fatalf("the test's text is not TOML: %v\n%s", err, clean.String())
	}
	l := scanLayout("f", clean.String())
	for id, path := range map[string][]string{
		"1": {"top"}, "2": {`quoted "key" é`}, "3": {"dotted", "a.b", "c"}, "4": elementPath([]string{"dotted", "a.b", "c"}, 1),
		"5": elementPath([]string{"dotted", "a.b", "c"}, 2), "6": {"date"}, "7": {"inline"}, "8": {"inline", "a"},
		"9": {"inline", "b", "c"}, "10": {"inline", "b", "c", "d"}, "11": {"table", "sub"}, "12": {"table", "sub", "key"},
		"13": {"list"}, "14": {"list", "key"},
	} {
		want := fmt.Sprintf("f:%d:%d", marks[id][0], marks[id][1])
		if got := l.at(l.key(path)); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
	if got, want := l.key([]string{"inline", "b", "none", "deeper"}), l.key([]string{"inline", "b"}); got != want {
		t.Errorf("a key that is not there is at %d, not at its table's %d", got, want)
	}
}

func TestColumnsCountCharacters(t *testing.T) {
	l := scanLayout("f", "\ufeffé = { ü = 1, x = 2 }\n")
	if got := l.at(l.key([]string{"é"})); got != "f:1:1" {
		t.Errorf("after a byte order mark: %s", got)
	}
	if got := l.at(l.key([]string{"é", "x"})); got != "f:1:14" {
		t.Errorf("after letters of two bytes: %s", got)
	}
}

// The deepest nesting that a file may have is walked in a moment; without a bound on paths this test would not end.
func TestScanOfDeepNestingEnds(t *testing.T) {
	const n = 20_000
	for _, text := range []string{
		"a=" + strings.Repeat("[", n) + strings.Repeat("]", n) + "\nb=1",
		"a=" + strings.Repeat("{a=", n) + "1" + strings.Repeat("}", n) + "\nb=1",
		"a" + strings.Repeat(".a", n) + "=1\nb=1",
		"a=[" + strings.Repeat("1,", n) + "]\nb=1",
	} {
		l := scanLayout("f", text)
		if got, want := l.key([]string{"b"}), strings.LastIndex(text, "b"); got != want {
			t.Errorf("%.10s...: b is at %d, not %d", text, want, got)
		}
	}
}

var placePattern = regexp.MustCompile(`^f:[1-9]\d*:[1-9]\d*$`)

// Whatever text comes: no panic; an error has a position in the file; the scan finds exactly the keys that the parser
// finds; and what was read is printed, read again and printed the same.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.toml", "../deploy/weir.toml"} {
		found, _ := filepath.Glob(pattern)
		for _, file := range found {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Add("a.b.c=1\n[a.b.d]\nx=[{y=1},{y=2}]\n[[t]]\n[t.u]\n")
	f.Add("\"\\u0061\\\"\"=\"\"\"\\\"\"\"\"\"\n'q'='''''''\n")
	f.Add("[users.\"a\\u0000b\"]\npassword_env=\"X\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		// Names of files would lead the fuzzer round the disk.
		if strings.Contains(text, "file") {
			return
		}
		var tree map[string]any
		if md, err := toml.Decode(text, &tree); err == nil {
			checkKeys(t, text, md)
		}
		c, err := Parse("f", []byte(text), noEnv)
		if err != nil {
			problems, ok := errors.AsType[Problems](err)
			if !ok || len(problems) == 0 {
				t.Fatalf("error is %T %v", err, err)
			}
			for _, p := range problems {
				if !placePattern.MatchString(p.Where) {
					t.Errorf("no position: %v", p)
				}
			}
			return
		}
		var first, second bytes.Buffer
		if err := c.WriteTOML(&first); err != nil {
			t.Fatal(err)
		}
		c.Warnings()
		again, err := Parse("printed", first.Bytes(), noEnv)
		if err != nil {
			t.Fatalf("printed and not read: %v\n%s", err, first.String())
		}
		if err := again.WriteTOML(&second); err != nil {
			t.Fatal(err)
		}
		if first.String() != second.String() {
			t.Errorf("printed\n%s\nand then\n%s", first.String(), second.String())
		}
	})
}

func checkKeys(t *testing.T, text string, md toml.MetaData) {
	t.Helper()
	l := scanLayout("f", text)
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return // the parser takes off a byte order mark that no TOML may have
	}
	for _, key := range md.Keys() {
		if inArray(md, key) || len(key) > depthMax {
			continue // one path has many values, or none is kept
		}
		if _, ok := l.spots[pathKey(key)]; !ok {
			t.Errorf("no position for %q in\n%s", []string(key), text)
		}
	}
}

func inArray(md toml.MetaData, key toml.Key) bool {
	for n := 1; n < len(key); n++ {
		if t := md.Type(key[:n]...); t != "Hash" && t != "" {
			return true
		}
	}
	return false
}
