package config

import (
	"fmt"
	"log/slog"
	"slices"
)

// Foreign is a setting of a file of PgBouncer's that is served as it is. Those that mean something to weir are in the Config besides.
type Foreign struct {
	Name, Value, Default string
	NoDefault            bool // PgBouncer has none
	Restart              bool // a change has no effect until the process is started anew
	// Read gives a value as SHOW CONFIG shows it. False: it is none.
	Read func(text string) (string, bool)
}

// withForeign is c with one setting changed that only PgBouncer has.
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
	changed.Foreign[i].Value = shown
	if name == "verbose" {
		changed.Log.Level = slog.LevelInfo
		if shown != "0" {
			changed.Log.Level = slog.LevelDebug
		}
	}
	return &changed, nil
}
