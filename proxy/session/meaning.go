package session

import (
	"encoding/binary"
	"slices"
)

// meaningful are the settings that can change what a text means when it is parsed: how it is read, which objects its names find, and
// what its literals stand for, which PostgreSQL computes in parse analysis and keeps in a prepared statement. What only changes
// plans, output or limits is not among them, nor are custom settings (app.x), which are asked for when the statement runs.
//
// Sources: the GucContext and use of each in src/backend/utils/misc/guc_tables.c and src/backend/parser. DateStyle, IntervalStyle,
// TimeZone, timezone_abbreviations, lc_monetary, array_nulls and xmloption are used by input functions; role and
// session_authorization decide what "$user" in a search_path is and whose temporary schema counts.
var meaningful = [...]string{
	"array_nulls", "backslash_quote", "client_encoding", "datestyle", "default_text_search_config", "intervalstyle", "lc_monetary",
	"lc_numeric", "lc_time", "role", "row_security", "search_path", Authorization, "session_authorization", "session_replication_role",
	"standard_conforming_strings", "timezone", "timezone_abbreviations", "transform_null_equals", "xmloption",
}

// Meaningful reports whether a setting, by its name in any case, can change what a text means when it is parsed.
func Meaningful(name string) bool {
	_, found := slices.BinarySearch(meaningful[:], canonical(name))
	return found
}

// AppendMeaning appends a key for those of the settings, sorted by canonical name, that can change what a text means. Different
// values never give the same key.
func AppendMeaning(key []byte, settings []Setting) []byte {
	for _, s := range settings {
		if Meaningful(s.Name) {
			key = appendPart(appendPart(key, canonical(s.Name)), s.Value)
		}
	}
	return key
}

func appendPart(key []byte, part string) []byte {
	key = binary.AppendUvarint(key, uint64(len(part)))
	return append(key, part...)
}

// SameName reports whether two names are those of one setting.
func SameName(a, b string) bool { return canonical(a) == canonical(b) }
