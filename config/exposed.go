package config

import (
	"fmt"
	"os"
	"slices"
)

// exposed are warnings about the files with passwords that every account of the machine may read; file is the configuration.
func (r *reader) exposed(file string) (warnings []string) {
	tell := func(what, path string) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o004 != 0 {
			warnings = append(warnings, fmt.Sprintf("%s %s, which every account of this machine can read (mode %04o)", what, path, info.Mode().Perm()))
		}
	}
	if r.inline {
		tell("passwords stand in clear in", file)
	}
	slices.Sort(r.secrets)
	for _, path := range slices.Compact(r.secrets) {
		tell("password_file names", path)
	}
	return warnings
}
