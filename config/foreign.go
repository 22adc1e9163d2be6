package config

import (
	"fmt"
	"slices"
)

// Foreign is a setting of a file of PgBouncer's that is served as it is, as the file has it. What it means to weir is in the Config besides.
type Foreign struct {
	Name, Value, Default string
	NoDefault            bool // PgBouncer has none
	Restart              bool // a change has no effect until the process is started anew
	Inert                bool // it means nothing to weir
	Said                 bool // in the file, or by SET
	// Read gives a value as SHOW CONFIG shows it, which it reads, too. False: it is none.
	Read func(text string) (string, bool)
}

// withForeign is c with one setting of PgBouncer's changed: it means what it would mean in the file.
func (c *Config) withForeign(name, value string) (*Config, error) {
	i := slices.IndexFunc(c.Foreign, func(f Foreign) bool { return f.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no setting %s", name)
	}
	shown, ok := c.Foreign[i].Read(value)
	if !ok {
		return nil, fmt.Errorf("%s cannot be %q", name, value)
	}
	changed := *c
	changed.Foreign = slices.Clone(c.Foreign)
	changed.Foreign[i].Value, changed.Foreign[i].Said = shown, true
	if c.Mean != nil {
		if err := c.Mean(&changed, name); err != nil {
			return nil, err
		}
		changed = *changed.Keeping(c)
	}
	p := changed.settled()
	if changed.Auth.files() != c.Auth.files() {
		p.config.HBA, p.config.Ident, p.config.SaltSecret = nil, nil, Secret{}
		p.loadAuth()
	}
	return p.checked()
}

// files are those that [auth] names.
func (a Auth) files() [4]Path { return [4]Path{a.AuthFile, a.SaltFile, a.IdentFile, a.HBAFile} }
