package config

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The databases that are the admin console. A server's database of the name ConsoleWeir can be reached all the same: by a section of
// [databases] of that name.
const (
	ConsolePgBouncer = "pgbouncer"
	ConsoleWeir      = "weir"
)

// PgBouncerVersion is the version of PgBouncer whose surface weir has: what its console and its command line say of themselves.
const PgBouncerVersion = "1.26.1"

// IsConsole reports whether a client that asks for that database gets the admin console.
func (c *Config) IsConsole(database string) bool {
	if database != ConsolePgBouncer && database != ConsoleWeir {
		return false
	}
	_, own := c.Databases[database]
	return !own
}

func checkConsole(c *Config, report func([]string, string, ...any)) {
	if _, ok := c.Databases[ConsolePgBouncer]; ok {
		report([]string{"databases", ConsolePgBouncer}, `a database cannot be called %q, which is the admin console: call it otherwise, with dbname = %[1]q`,
			ConsolePgBouncer)
	}
	if c.IsConsole(c.Auth.AuthDBName) {
		report([]string{"auth", "auth_dbname"}, "auth_dbname cannot be %q, which is the admin console", c.Auth.AuthDBName)
	}
	if c.Admin.StatsPeriod < second {
		report([]string{"admin", "stats_period"}, "stats_period must be at least 1s (got %s)", c.Admin.StatsPeriod)
	}
}

// Shown is a setting as SHOW CONFIG shows it: without quotes, times in seconds, true and false as 1 and 0.
type Shown struct {
	Section, Name  string
	Value, Default string
	Restart        bool // a change has no effect until weir is started anew
	NoDefault      bool
	NoValue        bool // it is not set, and there is none
	Inert          bool // it means nothing to weir
	Secret         bool // Value is not it
}

// Shown are all settings that stand outside of [databases] and [users], in the order of the table, and then those of PgBouncer's file,
// without a section.
func (c *Config) Shown() []Shown {
	var all []Shown
	standard := Default()
	for _, sec := range sections {
		if sec.named() {
			continue
		}
		for _, s := range ofSection(sec.name) {
			_, secret := s.field(c).(*Secret)
			all = append(all, Shown{
				Section: sec.name, Name: s.name, Value: s.plain(s.field(c)), Default: s.plainDefault(s.field(standard)), Restart: s.restart, Secret: secret,
			})
		}
	}
	for _, f := range c.Foreign {
		all = append(all, Shown{Name: f.Name, Value: f.Value, Default: f.Default, NoDefault: f.NoDefault, NoValue: f.NoDefault && f.Value == "" && !f.Said, Restart: f.Restart, Inert: f.Inert})
	}
	return all
}

// plain writes the setting's value as PgBouncer does.
func (s *setting) plain(place any) string {
	if d, ok := place.(*Duration); ok && s.millis {
		return strconv.FormatInt(time.Duration(*d).Milliseconds(), 10)
	}
	return plain(place)
}

func plain(place any) string {
	switch p := place.(type) {
	case *[]string:
		return strings.Join(*p, ", ")
	case *bool:
		if *p {
			return "1"
		}
		return "0"
	case *int:
		return strconv.Itoa(*p)
	case *string:
		return *p
	case *Path:
		return string(*p)
	case *Duration:
		return strconv.FormatFloat(float64(*p)/float64(second), 'f', -1, 64)
	case *FileMode:
		return strconv.Itoa(int(*p))
	case *slog.Level:
		return nameOf(logLevelNames, int(*p-slog.LevelDebug)/4)
	case *Size:
		return strconv.FormatInt(int64(*p), 10)
	case fmt.Stringer:
		return p.String()
	}
	panic(fmt.Sprintf("config: a row of the table points to a %T", place))
}

// plainDefault is plain for a default: PgBouncer shows that of a file's mode as it is written.
func (s *setting) plainDefault(place any) string {
	if mode, ok := place.(*FileMode); ok {
		return mode.String()
	}
	return s.plain(place)
}

// WithSetting is c with one setting changed, which is written as SHOW CONFIG shows it or as in the file. The error is for the caller; c
// is not changed.
func (c *Config) WithSetting(section, name, value string) (*Config, error) {
	if section == "" {
		return c.withForeign(name, value)
	}
	i := slices.IndexFunc(settings, func(s setting) bool { return s.section == section && s.name == name && s.field != nil })
	if i < 0 {
		return nil, fmt.Errorf("there is no setting %s in [%s]", name, section)
	}
	changed := *c
	s := &settings[i]
	place := s.field(&changed)
	p := changed.settled()
	v, err := s.written(place, value)
	if err == nil {
		_, err = p.reader.read(s, place, v)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	p.reread(s, place)
	return p.checked()
}

// settled is what reads what a setting of c, which was just changed, names.
func (c *Config) settled() *parser {
	return &parser{
		config: c, layout: &layout{}, where: func([]string) string { return "" },
		reader: reader{folder: c.folder(), env: func(string) (string, bool) { return "", false }},
	}
}

// checked is the Config, if nothing is wrong with it now.
func (p *parser) checked() (*Config, error) {
	p.keepNames()
	validate(p.config, p.problem)
	if len(p.problems) > 0 {
		var texts []string
		for _, problem := range p.problems {
			texts = append(texts, strings.TrimPrefix(problem.String(), ": "))
		}
		return nil, errors.New(strings.Join(texts, "; "))
	}
	return p.config, nil
}

// keepNames adds the files that were read to those that the Config was read from; the last is that of the configuration.
func (p *parser) keepNames() {
	named := slices.DeleteFunc(p.reader.files, func(name string) bool { return slices.Contains(p.config.Files, name) })
	p.config.Files = append(named, p.config.Files...)
}

// folder is where relative names of files begin: with weir.toml, which Load has read last; with a file of PgBouncer's, where weir runs.
func (c *Config) folder() string {
	if c.PgBouncer || len(c.Files) == 0 {
		return ""
	}
	return filepath.Dir(c.Files[len(c.Files)-1])
}

// reread reads what a setting that was just changed names. Certificates are read by those who use them.
func (p *parser) reread(s *setting, place any) {
	_, isFile := place.(*Path)
	switch {
	case s.section == "auth" && isFile:
		p.config.HBA, p.config.Ident, p.config.SaltSecret = nil, nil, Secret{}
		p.loadAuth()
	case s.section == "http":
		p.loadHTTP()
	}
}

// written is a value as the TOML parser would give it.
func (s *setting) written(place any, value string) (any, error) {
	if n, err := strconv.ParseUint(value, 0, 32); err == nil && s.millis {
		return strconv.FormatUint((n+999)/1000, 10) + "s", nil // the kernel's are whole seconds here
	}
	return written(place, value)
}

func written(place any, value string) (any, error) {
	switch place.(type) {
	case *bool:
		switch strings.ToLower(value) {
		case "1", "true", "yes", "on", "t", "y":
			return true, nil
		case "0", "false", "no", "off", "f", "n":
			return false, nil
		}
		return nil, fmt.Errorf("must be 1 or 0 (got %q)", value)
	case *PeerID:
		if n, err := strconv.ParseInt(value, 0, 64); err == nil {
			return n, nil
		}
		return value, nil
	case *int:
		n, err := strconv.ParseInt(value, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("must be a whole number (got %q)", value)
		}
		return n, nil
	case *Ratio:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("must be a number from 0 to 1 (got %q)", value)
		}
		return n, nil
	case *Duration:
		if _, err := strconv.ParseFloat(value, 64); err == nil {
			return value + "s", nil
		}
		return value, nil
	case *Size:
		if _, err := strconv.ParseUint(value, 10, 63); err == nil {
			return value + "B", nil
		}
		return value, nil
	case *[]string:
		list := []any{}
		for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' }) {
			list = append(list, word)
		}
		return list, nil
	case fromFile, fromEnv, *Secret:
		return nil, fmt.Errorf("is a secret, which SET does not take: change the file, and RELOAD")
	}
	return value, nil
}
