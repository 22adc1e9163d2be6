package config

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// exposed are warnings about the files with passwords that every account of the machine may read; file is the configuration.
func (r *reader) exposed(file string) (warnings []string) {
	tell := func(what, path string) {
		if mode, open := openToAll(path); open && mode.IsRegular() {
			warnings = append(warnings, fmt.Sprintf("%s %s, which every account of this machine can read (mode %04o)", what, path, mode.Perm()))
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

// warnIfOpen warns of a file that every account of the machine may read. An empty name is none.
func warnIfOpen(setting string, name Path, warn func(string, ...any)) {
	if mode, open := openToAll(string(name)); open {
		warn("%s %s can be read by every account of this machine (mode %04o)", setting, name, mode.Perm())
	}
}

// openToAll is a file's mode, and whether every account of the machine may read it.
func openToAll(name string) (mode fs.FileMode, open bool) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, false
	}
	return info.Mode(), info.Mode()&0o004 != 0
}
