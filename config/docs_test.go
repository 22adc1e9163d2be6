package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// `go test ./config -run Docs -update` writes both files anew from the table.
const (
	pageFile   = "../docs/configuration.md"
	deployFile = "../deploy/weir.toml"
)

func TestDocsPageIsThatOfTheTable(t *testing.T)   { golden(t, pageFile, page()) }
func TestDocsDeployIsThatOfTheTable(t *testing.T) { golden(t, deployFile, deploy()) }

// What deploy/weir.toml shows is checked without the generator: each line `#name = value`, with its comment sign
// taken off, must be read and give the default; together they must be all settings.
func TestDocsDeployShowsEverySettingWithItsDefault(t *testing.T) {
	text, err := os.ReadFile(deployFile)
	if err != nil {
		t.Fatal(err)
	}
	anyPassword := t.TempDir() + "/password"
	if err := os.WriteFile(anyPassword, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	section, head := "", ""
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimPrefix(line, "#")
		if strings.HasPrefix(line, "[") {
			head = line
			section, _, _ = strings.Cut(strings.Trim(line, "[]"), ".")
			continue
		}
		name, value, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, " ") {
			continue
		}
		s := lookup(section, name)
		if s == nil {
			t.Errorf("line %d: no setting %s in %s", n+1, name, head)
			continue
		}
		shown[section+"."+name] = true
		if s.name == "password_file" {
			value = quote(anyPassword)
		}
		one := head + "\n" + name + " = " + value + "\n"
		if section == "databases" && name != "host" {
			one += "host = \"h\"\n"
		}
		if section == "peers" {
			if name != "host" {
				one += "host = \"{id}\"\n"
			}
			one += "[listen]\npeer_id = 1\n"
		}
		c, err := Parse("line", []byte(one), func(string) (string, bool) { return "x", true })
		if err != nil {
			t.Errorf("line %d: %v", n+1, err)
			continue
		}
		if s.field == nil {
			continue
		}
		got, want := show(s.field(c)), show(s.field(Default()))
		if section == "databases" || section == "users" {
			got = effectiveOf(s, c.PoolSettings("x", strings.TrimPrefix(strings.Trim(head, "[]"), "users.")))
		}
		if got != want {
			t.Errorf("line %d: %s is %s, but the default is %s", n+1, name, got, want)
		}
	}
	for _, sec := range sections {
		for _, name := range settingNames(sec.name) {
			if !shown[sec.name+"."+name] {
				t.Errorf("%s of %s is not shown", name, header(sec))
			}
		}
	}
	if _, err := Load(deployFile); err != nil {
		t.Errorf("as it is: %v", err)
	}
}

const deployHead = `# weir's configuration, complete.
#
# Every setting is here with its default, commented out: take the # away to change one. Comments have a blank after
# the #, settings have none. Durations are written "30s", "2m", "1h30m". A name that weir does not know is an error.
#
#     weir check -c weir.toml     says what is wrong, or prints what holds, passwords masked
#     weir serve -c weir.toml     serves
#
# Defaults are PgBouncer's unless it says here why not. docs/configuration.md has the same texts as a page.
`

// deploy is the commented file.
func deploy() string {
	var b strings.Builder
	b.WriteString(deployHead)
	for _, sec := range sections {
		b.WriteString("\n\n" + comment(sec.intro))
		head := "[" + sec.name + "]"
		switch sec.name {
		case "databases":
			head = `[databases."*"]`
		case "users":
			head = "#[users.app]"
		case "peers":
			head = "#[peers.1-16]"
		}
		b.WriteString(head + "\n")
		overrides := false
		for _, s := range ofSection(sec.name) {
			if s.section != sec.name {
				if !overrides {
					overrides = true
					b.WriteString("\n" + comment("For this one alone, in place of the values of the other sections:"))
				}
				b.WriteString("#" + s.name + " = " + s.defaultText() + "\n")
				continue
			}
			b.WriteString("\n" + comment(s.meaning))
			if s.why != "" {
				b.WriteString(comment("Why: " + s.why))
			}
			value := s.defaultText()
			if s.example != "" {
				value = s.example
			}
			if s.name == "host" && sec.name == "databases" {
				b.WriteString(s.name + " = " + value + "\n")
			} else {
				b.WriteString("#" + s.name + " = " + value + "\n")
			}
		}
		if sec.name == "databases" {
			b.WriteString("\n" + comment(tablesText("*")))
		}
	}
	return b.String()
}

// tablesText says which sections a database may have below its own.
func tablesText(database string) string {
	var names []string
	for _, table := range tablesOf() {
		names = append(names, fmt.Sprintf("[databases.%s.%s]", quoteKey(database), table))
	}
	names, last := names[:len(names):len(names)], fmt.Sprintf("[databases.%s.settings]", quoteKey(database))
	return "Settings of PostgreSQL that the backends begin with stand in " + last + ", such as statement_timeout = \"30s\" (a user may have its own, " +
		"in [users.NAME.settings], which win). weir gives them at its login, so they win over those of ALTER ROLE and ALTER DATABASE, and what a " +
		"client asks for wins over them. What " + strings.Join(names, " and ") + " say is for this database alone, setting by setting, in place of the sections of these names."
}

func comment(text string) string {
	var b strings.Builder
	for _, line := range wrap(text, 98) {
		b.WriteString("# " + line + "\n")
	}
	return b.String()
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

const pageHead = `# Configuration

weir reads one TOML file: ` + "`weir serve -c weir.toml`" + `. ` + "`weir check -c weir.toml`" + ` tells what is wrong in it,
with line and column, or prints what holds, passwords masked and everything that is not the default marked.
[deploy/weir.toml](../deploy/weir.toml) is a complete file to start from.

Without a file weir listens on 127.0.0.1:6432, trusts its clients, and leads every database to the server that libpq's
environment names (` + "`PGHOST`, `PGHOSTADDR`, `PGPORT`, `PGPASSWORD`, `PGSSLMODE` and the other `PGSSL...`" + `), or localhost:5432.
As in libpq these are defaults for what is not said otherwise; user and database are what the client says. ` + "`--to DSN`" + `
names the server explicitly: a URL (` + "`postgres://user:password@host:port/dbname?sslmode=require`" + `) or pairs
(` + "`host=/run/postgresql port=5433`" + `); a user or database in it is fixed for all clients.

Names that weir does not know are errors. Durations are written ` + "`\"30s\"`, `\"2m\"`, `\"1h30m\"`" + `. Defaults are
PgBouncer's; where one is not, it says why.

A setting may be in three places. **The user's value wins over the database's, and that over the general one**, as in
PgBouncer. Where a database has a ` + "`user`" + ` of its own, that user's section decides about the pool and the
client's about the client: its timeouts and how many there may be.

This page is made from weir's table of settings (` + "`go test ./config -run Docs -update`" + `).
`

// page is docs/configuration.md.
func page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, sec := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", header(sec), fill(sec.intro))
		var overrides []string
		for _, s := range ofSection(sec.name) {
			if s.section != sec.name {
				overrides = append(overrides, fmt.Sprintf("[`%s`](#%s)", s.name, s.name))
				continue
			}
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n%s\n", s.name, fill(s.meaning), fill(facts(s)))
			if s.why != "" {
				fmt.Fprintf(&b, "\n%s\n", fill("*Why:* "+s.why))
			}
		}
		if len(overrides) > 0 {
			fmt.Fprintf(&b, "\n### Others\n\n%s\n", fill("For this one alone, in place of the general value: "+strings.Join(overrides, ", ")+"."))
		}
		if sec.name == "databases" {
			b.WriteString("\n" + fill(tablesText("NAME")) + "\n")
		}
	}
	return b.String()
}

func fill(text string) string { return strings.Join(wrap(text, 118), "\n") }

// isDuration tells settings whose greatest value is a time from those whose is a number.
func isDuration(s *setting) bool {
	if s.field == nil {
		return false
	}
	_, ok := s.field(Default()).(*Duration)
	return ok
}

// facts is the line of a setting's default, bounds and places.
func facts(s *setting) string {
	var parts []string
	switch d := s.defaultText(); {
	case d != "" && s.unit != "":
		parts = append(parts, "Default: `"+d+"` "+s.unit+".")
	case d != "":
		parts = append(parts, "Default: `"+d+"`.")
	default:
		parts = append(parts, "Example: `"+s.example+"`.")
	}
	switch {
	case s.max > 0 && isDuration(s):
		parts = append(parts, fmt.Sprintf("At most `%s`.", show(new(Duration(s.max)*second))))
	case s.max > 0:
		parts = append(parts, fmt.Sprintf("From %d to %d.", s.min, s.max))
	}
	switch s.in {
	case inDatabases:
		parts = append(parts, "A database may have its own.")
	case inUsers:
		parts = append(parts, "A user may have its own.")
	case inDatabases | inUsers:
		parts = append(parts, "A database and a user may have their own.")
	}
	if s.table != nil {
		parts = append(parts, "A database may have its own, in `[databases.NAME."+s.section+"]`.")
	}
	if s.restart {
		parts = append(parts, "A change needs a restart.")
	}
	return strings.Join(parts, " ")
}
