package sqlscan

import (
	"strings"

	"weir/proxy/ascii"
)

// keyword is a word that means something to the scanner.
type keyword uint8

const (
	kwNone keyword = iota // any other word

	// Words that matter only as the first of a statement.
	kwSet
	kwReset
	kwListen
	kwUnlisten
	kwNotify
	kwPrepare
	kwDeallocate
	kwDiscard
	kwLoad
	kwDo
	kwCall
	kwBegin
	kwStart
	kwDeclare
	kwExplain
	kwAlter
	kwDrop

	// Words that matter after certain others.
	kwLocal
	kwGlobal
	kwTransaction
	kwConstraints
	kwOr
	kwReplace
	kwCreate
	kwInto
	kwInsert
	kwMerge
	kwTemp
	kwWith
	kwHold
	kwTrue
	kwExecute
	kwDatabase
	kwUpdate

	// Names of functions and schemas, which matter anywhere, quoted too.
	kwSetConfig
	kwSetseed
	kwSequence
	kwAdvisoryLock
	kwAdvisoryUnlock
	kwPgTemp
	kwNotifies
	kwPgSettings
	kwOpaque
	kwProcess
)

// kwNames is the first of the names.
const kwNames = kwSetConfig

// wordBytesMax is how much of a word is kept when a piece of text ends inside
// it. No word of the tables is longer (the longest has 35 bytes), and a name
// that PostgreSQL knows has at most 63 (NAMEDATALEN, pg_config_manual.h).
const wordBytesMax = 40

// words are the exact ones, in lower case.
var words = map[string]keyword{
	"set": kwSet, "reset": kwReset, "listen": kwListen, "unlisten": kwUnlisten, "notify": kwNotify, "prepare": kwPrepare,
	"deallocate": kwDeallocate, "discard": kwDiscard, "load": kwLoad, "do": kwDo, "call": kwCall,
	"begin": kwBegin, "start": kwStart, "declare": kwDeclare, "explain": kwExplain, "execute": kwExecute,
	"alter": kwAlter, "drop": kwDrop, "database": kwDatabase,
	"local": kwLocal, "global": kwGlobal, "transaction": kwTransaction, "constraints": kwConstraints,
	"or": kwOr, "replace": kwReplace, "create": kwCreate, "into": kwInto, "insert": kwInsert,
	"merge": kwMerge, "temp": kwTemp, "temporary": kwTemp, "with": kwWith, "hold": kwHold, "true": kwTrue,
	"update": kwUpdate, "pg_settings": kwPgSettings,
	"set_config": kwSetConfig, "setseed": kwSetseed, "pg_temp": kwPgTemp, "currval": kwSequence, "lastval": kwSequence,
	"pg_notify": kwNotifies, "pg_listening_channels": kwNotifies,

	// They run text that is given as a string.
	"query_to_xml": kwOpaque, "query_to_xmlschema": kwOpaque, "query_to_xml_and_xmlschema": kwOpaque,
	"ts_stat": kwOpaque, "ts_rewrite": kwOpaque, "crosstab": kwOpaque, "crosstab2": kwOpaque, "crosstab3": kwOpaque, "crosstab4": kwOpaque,
	"connectby": kwOpaque, "xpath_table": kwOpaque,
	// It changes a setting of pg_trgm.
	"set_limit": kwOpaque,
	// Connections and cursors of dblink, a replication origin, a backup, and that
	// isn takes wrong numbers.
	"isn_weak":       kwProcess,
	"dblink_connect": kwProcess, "dblink_connect_u": kwProcess, "dblink_open": kwProcess,
	"pg_replication_origin_session_setup": kwProcess, "pg_backup_start": kwProcess, "pg_start_backup": kwProcess,
	// Their slots may be temporary, which end with the session.
	"pg_create_physical_replication_slot": kwProcess, "pg_create_logical_replication_slot": kwProcess,
	"pg_copy_physical_replication_slot": kwProcess, "pg_copy_logical_replication_slot": kwProcess,
}

// prefixes stand for families of names.
var prefixes = []entry{
	{"pg_advisory_lock", kwAdvisoryLock},     // and _shared
	{"pg_try_advisory_lock", kwAdvisoryLock}, // and _shared
	{"pg_advisory_unlock", kwAdvisoryUnlock}, // and _shared, _all
	{"pg_temp_", kwPgTemp},                   // the schema's real name, pg_temp_3
}

// mayMatter[first byte] has bit n set if a word of n bytes that begins with it
// is in the tables. It turns away nearly every word of ordinary SQL at the cost
// of one load and one shift.
var mayMatter = func() (table [256]uint64) {
	add := func(text string, lengths uint64) {
		table[text[0]] |= lengths
		table[text[0]-'a'+'A'] |= lengths
	}
	for text := range words {
		add(text, 1<<len(text))
		if words[text] >= kwNames {
			// With each i written as a dotted capital of two bytes.
			for n := range strings.Count(text, "i") {
				add(text, 2<<(len(text)+n))
			}
		}
	}
	for _, p := range prefixes {
		add(p.text, ^uint64(0)<<len(p.text))
	}
	return table
}()

// entry is a row of byLetter.
type entry struct {
	text string
	kw   keyword
}

// byLetter holds words by their first letter: a few comparisons of length
// decide, which is faster than a map.
var byLetter = func() (table ['z' - 'a' + 1][]entry) {
	for text, kw := range words {
		table[text[0]-'a'] = append(table[text[0]-'a'], entry{text, kw})
	}
	return table
}()

// lookup finds what an unquoted word means, whatever its case. PostgreSQL folds
// keywords by ASCII rules alone. At most wordBytesMax bytes of word count.
func lookup(word []byte) keyword {
	if mayMatter[word[0]]>>len(word)&1 == 0 {
		return kwNone
	}
	var folded [wordBytesMax]byte
	n := copy(folded[:], word)
	high := byte(0)
	for i, c := range folded[:n] {
		high |= c
		folded[i] = ascii.Lower(c)
	}
	if high >= 0x80 {
		return lookupDotted(folded[:n])
	}
	return lookupName(folded[:n])
}

// lookupDotted finds what a word with bytes above 0x7f means. Names, and not
// keywords, are folded by the database's locale if its encoding has one byte for
// each character (downcase_identifier in src/backend/parser/scansup.c). One
// letter becomes one of ASCII so: the capital I with a dot above, which is an i.
// It is read so whatever the locale is, in each encoding that has it. word is
// changed.
func lookupDotted(word []byte) keyword {
	n := 0
	for i := 0; i < len(word); i++ {
		c := word[i]
		switch {
		case c == 0xdd, c == 0xa9: // LATIN5 and WIN1254; LATIN3
			c = 'i'
		case i+1 < len(word) && (c == 0xc4 && word[i+1] == 0xb0 || c == 0x83 && word[i+1] == 0xa9): // UTF8; MULE_INTERNAL
			c = 'i'
			i++
		}
		word[n] = c
		n++
	}
	if kw := lookupName(word[:n]); kw >= kwNames {
		return kw
	}
	return kwNone
}

// lookupName finds a word that is in lower case already, or a quoted name, which
// is taken as it stands.
func lookupName(word []byte) keyword {
	if len(word) == 0 || mayMatter[word[0]]>>len(word)&1 == 0 || word[0] < 'a' {
		return kwNone
	}
	for _, e := range byLetter[word[0]-'a'] {
		if string(word) == e.text {
			return e.kw
		}
	}
	for _, p := range prefixes {
		if len(word) >= len(p.text) && string(word[:len(p.text)]) == p.text {
			return p.kw
		}
	}
	return kwNone
}

// The classes of bytes, as PostgreSQL's lexer has them (src/backend/parser/scan.l).
const (
	classOther  byte = iota // operators and everything else
	classSpace              // white space within a line
	classLine               // line feed and carriage return
	classWord               // ident_start: letters, underscore, bytes above 0x7f
	classDigit              // may continue a word, begins a number
	classDollar             // may continue a word, begins a dollar quote or parameter
	classQuote              // '
	classIdent              // "
	classDash               // - may begin a comment
	classSlash              // / may begin a comment
)

var class = func() (table [256]byte) {
	for c := range table {
		switch {
		case c >= 0x80, c == '_', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			table[c] = classWord
		case '0' <= c && c <= '9':
			table[c] = classDigit
		}
	}
	for _, c := range " \t\f\v" {
		table[c] = classSpace
	}
	table['\n'], table['\r'] = classLine, classLine
	table['$'], table['\''], table['"'], table['-'], table['/'] = classDollar, classQuote, classIdent, classDash, classSlash
	return table
}()

// inWord tells whether a byte continues a word (ident_cont).
var inWord = func() (table [256]bool) {
	for c, k := range class {
		table[c] = k == classWord || k == classDigit || k == classDollar
	}
	return table
}()

// inTag tells whether a byte continues the tag of a dollar quote (dolq_cont).
func inTag(c byte) bool { return class[c] == classWord || class[c] == classDigit }
