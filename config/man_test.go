package config

import (
	"strings"
	"testing"

	"weir/internal/manpage"
)

// The page is made from the table, as docs/configuration.md is, and says the same.
func TestDocsManualPageIsThatOfTheTable(t *testing.T) {
	manpage.Golden(t, manual(), "../deploy/man/weir.toml.5", *update)
}

func manual() *manpage.Page {
	p := manpage.New("weir.toml", 5, "weir", "configuration of weir, a connection-pooling proxy in front of PostgreSQL")
	p.Section("DESCRIPTION")
	p.Text("weir reads one TOML file: weir serve -c weir.toml. weir check -c weir.toml tells what is wrong in it, with line and column, " +
		"or prints what holds, passwords masked and everything that is not the default marked.")
	p.Text("Names that weir does not know are errors. Durations are written \"30s\", \"2m\", \"1h30m\". Defaults are PgBouncer's; where one is " +
		"not, it says why.")
	p.Text("A setting may be in three places. The user's value wins over the database's, and that over the general one, as in PgBouncer. " +
		"Where a database has a user of its own, that user's section decides about the pool and the client's about the client: its timeouts " +
		"and how many there may be.")
	for _, sec := range sections {
		p.Section(header(sec))
		p.Text(sec.intro)
		var overrides []string
		for _, s := range ofSection(sec.name) {
			if s.section != sec.name {
				overrides = append(overrides, s.name)
				continue
			}
			paragraphs := []string{s.meaning, strings.ReplaceAll(facts(s), "`", "")}
			if s.why != "" {
				paragraphs = append(paragraphs, "Why: "+s.why)
			}
			p.Item(s.name, paragraphs...)
		}
		if len(overrides) > 0 {
			p.Text("For this one alone, in place of the general value: " + strings.Join(overrides, ", ") + ".")
		}
		if sec.name == "databases" {
			p.Text(tablesText("NAME"))
		}
	}
	p.Section("FILES")
	p.Item("/etc/weir/weir.toml", "Where weir's packages put it, for root and the group weir to read: it may hold passwords. "+
		"As delivered every setting is in it with its default.")
	p.Section("SEE ALSO")
	p.Text("weir(1), https://toml.io/")
	return p
}
