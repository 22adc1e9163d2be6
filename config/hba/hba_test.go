package hba

import (
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// memory is a tree of files by their clean names.
type memory map[string]string

func (m memory) ReadFile(name string) ([]byte, error) {
	text, ok := m[filepath.Clean(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(text), nil
}

func (m memory) ReadDir(name string) ([]string, error) {
	var names []string
	for file := range m {
		if filepath.Dir(file) == filepath.Clean(name) {
			names = append(names, filepath.Base(file))
		}
	}
	if names == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return names, nil
}

// TestScripts runs testdata/*.txt. Commands:
//
//	file NAME         keeps a file; ident_file is read from the one called ident.conf
//	rules [NAME]      reads the input (or a kept file) as pg_hba.conf and prints its rules or what is wrong with it
//	maps              reads the input as pg_ident.conf, keeps it, and prints its lines or what is wrong
//	match             a connection a line: local|host|ssl [ADDRESS] DATABASE USER [replication]; prints what holds for it
//	allows MAP        a line for each: system name, database user; prints yes or no
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		files := memory{}
		var rules *Rules
		var maps *Maps
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				files[d.CmdArgs[0].Key] = d.Input
				return ""
			case "rules":
				name := "hba.conf"
				if len(d.CmdArgs) > 0 {
					name = d.CmdArgs[0].Key
				} else {
					files[name] = d.Input
				}
				var problems []Problem
				if rules, problems = Parse(name, files, maps); problems != nil {
					return lines(problems)
				}
				return describe(rules)
			case "maps":
				files["ident.conf"] = d.Input
				var problems []Problem
				if maps, problems = ParseMaps("ident.conf", files); problems != nil {
					return lines(problems)
				}
				return fmt.Sprintf("%d maps\n", len(maps.lines))
			case "match":
				var out strings.Builder
				for l := range strings.Lines(d.Input) {
					rule := rules.Match(request(t, strings.Fields(l)))
					if rule == nil {
						out.WriteString("none\n")
						continue
					}
					fmt.Fprintf(&out, "%s %s\n", rule, rule.Method)
				}
				return out.String()
			case "allows":
				name := ""
				if len(d.CmdArgs) > 0 {
					name = d.CmdArgs[0].Key
				}
				var out strings.Builder
				for l := range strings.Lines(d.Input) {
					words := strings.Fields(l)
					answer := "no"
					if maps.Allows(name, words[0], words[1]) {
						answer = "yes"
					}
					fmt.Fprintln(&out, answer)
				}
				return out.String()
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func lines(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s\n", p.Where, p.Text)
	}
	return b.String()
}

// request reads a line of match.
func request(t *testing.T, words []string) Request {
	t.Helper()
	q := Request{Local: words[0] == "local", TLS: words[0] == "ssl", Interfaces: func() []netip.Prefix {
		return []netip.Prefix{
			netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("10.1.2.3/24"),
			netip.PrefixFrom(netip.MustParseAddr("fe80::1%eth0"), 64),
		}
	}}
	words = words[1:]
	if !q.Local {
		addr, err := netip.ParseAddr(words[0])
		if err != nil {
			t.Fatal(err)
		}
		q.Addr = addr
		words = words[1:]
	}
	q.Database, q.User = words[0], words[1]
	q.Replication = len(words) > 2
	return q
}

// describe prints rules in one form.
func describe(r *Rules) string {
	var b strings.Builder
	for i := range r.rules {
		rule := &r.rules[i]
		fmt.Fprintf(&b, "%s %s %s %s", rule, connNames[rule.conn], list(rule.databases), list(rule.users))
		if rule.conn != connLocal {
			b.WriteString(" " + rule.address.text())
		}
		b.WriteString(" " + rule.Method.String())
		if rule.Map != "" {
			b.WriteString(" map=" + rule.Map)
		}
		if rule.ClientCert != CertAny {
			b.WriteString(" clientcert=" + []string{CertVerifyCA: "verify-ca", CertVerifyFull: "verify-full"}[rule.ClientCert])
		}
		if rule.ClientName != ClientNameAny {
			b.WriteString(" clientname=" + []string{ClientNameCN: "CN", ClientNameDN: "DN"}[rule.ClientName])
		}
		b.WriteString("\n")
	}
	return b.String()
}

var connNames = []string{"local", "host", "hostssl", "hostnossl"}

func list(patterns []pattern) string {
	var names []string
	for _, p := range patterns {
		switch {
		case p.keyword != "":
			names = append(names, p.keyword)
		case p.re != nil:
			names = append(names, p.re.String())
		default:
			names = append(names, fmt.Sprintf("%q", p.name))
		}
	}
	return "{" + strings.Join(names, ",") + "}"
}

// text is an address as pg_hba_file_rules has it, and its mask.
func (a address) text() string {
	switch a.kind {
	case addressAll:
		return "all"
	case addressSameHost:
		return "samehost"
	case addressSameNet:
		return "samenet"
	case addressMask:
	}
	mask, _ := netip.AddrFromSlice(a.mask)
	return a.base.String() + " " + mask.String()
}

func TestNoRulesRefuseAll(t *testing.T) {
	var none *Rules
	if r := none.Match(Request{Local: true, Database: "d", User: "u"}); r != nil {
		t.Errorf("%v holds", r)
	}
	var maps *Maps
	if maps.Allows("m", "root", "root") {
		t.Error("a map that does not exist lets somebody in")
	}
}

// Files that name each other, or themselves, come to an end.
func TestFilesThatNameEachOtherAreAnError(t *testing.T) {
	for name, files := range map[string]memory{
		"include":      {"hba.conf": "include hba.conf"},
		"include_dir":  {"hba.conf": "include_dir sub", "sub/x.conf": "include_dir ."},
		"@":            {"hba.conf": "local @names all trust", "names": "@names"},
		"@ each other": {"hba.conf": "local @a all trust", "a": "x @b", "b": "y @a"},
	} {
		rules, problems := Parse("hba.conf", files, nil)
		if rules != nil || len(problems) == 0 || !strings.Contains(problems[0].Text, "deep") {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestFilesAreBoundedTogether(t *testing.T) {
	const rule = "local @names all trust\n"
	files := memory{"names": "name #" + strings.Repeat(".", bytesMax/100)}
	for n, tooMany := range map[int]bool{99: false, 101: true} {
		files["hba.conf"] = strings.Repeat(rule, n)
		r, problems := Parse("hba.conf", files, nil)
		if tooMany != (len(problems) > 0) || !tooMany && len(r.rules) != n {
			t.Errorf("%d times: %v", n, problems)
		}
		for _, p := range problems {
			if !strings.Contains(p.Text, "all files together have more than") {
				t.Error(p)
			}
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, problems := Parse("hba.conf", memory{"hba.conf": strings.Repeat("x\n", 10_000)}, nil)
	if len(problems) != problemsMax+1 || problems[problemsMax].Text != "and more; is it the right file?" {
		t.Errorf("%d problems, the last %v", len(problems), problems[len(problems)-1])
	}
}

var seeds = []string{
	"local all all peer map=m", "host all all 127.0.0.1/32 scram-sha-256", "host a,\"b c\" /^x$ ::1/128 md5 # why",
	"hostssl all all 0.0.0.0 0.0.0.0 cert clientname=DN", "local \"a\"\"b\" @names reject", "host all all samenet password \\\n\n",
	"include x\ninclude_dir .\ninclude_if_exists y", "local all \"", ",,", "\\", "host db u 1.2.3.4/33 trust", "local all , all trust",
	"m /^(.*)@x\\.org$ \\1", "m \"a b\" all", "m /x \\1",
}

// FuzzRules reads anything, and whatever it takes for rules must answer, with a rule of its own.
func FuzzRules(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, "postgres")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		files := memory{"hba.conf": text, "names": text, "x": name}
		maps := &Maps{lines: map[string][]mapping{"m": {{}}}}
		rules, problems := Parse("hba.conf", files, maps)
		if (rules == nil) != (len(problems) > 0) {
			t.Fatalf("rules %v with problems %v", rules, problems)
		}
		for _, p := range problems {
			checkPlace(t, files, p)
		}
		for _, q := range []Request{
			{Local: true, Database: name, User: name},
			{Addr: netip.MustParseAddr("127.0.0.1"), Database: name, User: "app"},
			{Addr: netip.MustParseAddr("::1"), TLS: true, Database: "shop", User: name, Replication: true},
		} {
			if r := rules.Match(q); r != nil && (r.Line < 1 || r.Line > strings.Count(files[r.File], "\n")+1) {
				t.Fatalf("%v holds", r)
			}
		}
	})
}

// FuzzMaps does the same with maps.
func FuzzMaps(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, "root", "app")
	}
	f.Fuzz(func(t *testing.T, text, system, user string) {
		files := memory{"ident.conf": text}
		maps, problems := ParseMaps("ident.conf", files)
		if (maps == nil) != (len(problems) > 0) {
			t.Fatalf("maps %v with problems %v", maps, problems)
		}
		for _, p := range problems {
			checkPlace(t, files, p)
		}
		if maps == nil {
			return
		}
		for name := range maps.lines {
			maps.Allows(name, system, user)
		}
	})
}

// checkPlace sees that a problem stands somewhere in a file that there is.
func checkPlace(t *testing.T, files memory, p Problem) {
	t.Helper()
	var line, column int
	file, rest, _ := strings.Cut(p.Where, ":")
	if n, _ := fmt.Sscanf(rest, "%d:%d", &line, &column); n != 2 {
		return // of a file that cannot be read
	}
	text, ok := files[file]
	if !ok || strings.Contains(p.Text, "deep") {
		return
	}
	all := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	if line < 1 || line > len(all) || column < 1 || column > len([]rune(all[line-1]))+1 {
		t.Fatalf("%v is not in %q", p, text)
	}
}

func TestConfigurationFilesOfAFolder(t *testing.T) {
	got := configFiles([]string{"b.conf", "a.conf", ".x.conf", "c.conf.bak", "d"})
	if !slices.Equal(got, []string{"a.conf", "b.conf"}) {
		t.Error(got)
	}
}
