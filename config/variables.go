package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// variable is how other programs have a variable of the environment put into their configuration.
var variable = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$\([A-Za-z_][A-Za-z0-9_]*\)`)

// variablesIn warns of texts in a section that look as if a variable were meant: weir takes them as they are written, and what comes of it,
// a password that is wrong or a host that is not there, does not say why. The texts may be secrets, so they are not shown.
func variablesIn(section string, entries map[string]any) (warnings []string) {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		switch v := entries[key].(type) {
		case map[string]any:
			below := quoteKey(key)
			if section != "" {
				below = section + "." + below
			}
			warnings = append(warnings, variablesIn(below, v)...)
		case string, []any:
			if variable.MatchString(fmt.Sprint(v)) {
				warnings = append(warnings, fmt.Sprintf("[%s] %s has something like ${NAME} in it, and weir puts no variables in; only password_env reads one",
					section, quoteKey(key)))
			}
		}
	}
	return warnings
}
