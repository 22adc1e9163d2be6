package wire

import "unicode/utf8"

// NameMax is how many bytes of a database's or a user's name PostgreSQL keeps: NAMEDATALEN - 1, in PostgreSQL's
// src/include/pg_config_manual.h.
const NameMax = 63

// CutName returns what PostgreSQL makes of a database's or a user's name: its first 63 bytes. A character of UTF-8 that does not fit is
// left out whole. Names that the server takes for the same are the same to weir, so that no limit can be passed by a longer one.
func CutName(name string) string {
	if len(name) <= NameMax {
		return name
	}
	for n := NameMax; n > NameMax-utf8.UTFMax; n-- {
		if utf8.RuneStart(name[n]) {
			return name[:n]
		}
	}
	return name[:NameMax] // it is not UTF-8
}
