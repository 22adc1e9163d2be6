package sqlscan

// Mode says how the server will read the text. The zero value is the default of
// every PostgreSQL since 9.1 with a client_encoding that is safe.
type Mode uint8

const (
	// BackslashStrings: standard_conforming_strings is off, so '...' knows
	// backslash escapes like E'...'.
	BackslashStrings Mode = 1 << iota
	// UnsafeEncoding: in client_encoding the second byte of a character may be
	// an ASCII byte, a backslash among them, and how long a character is, is not
	// known. Text with any byte above 0x7f is then Opaque; pure ASCII is read as
	// usual.
	UnsafeEncoding
	// The encodings in which the second byte of a character may be an ASCII byte
	// and how long a character is, is known. At most one of them is set.
	SJISEncoding     // SJIS
	SJIS2004Encoding // SHIFT_JIS_2004
	DoubleEncoding   // BIG5, GBK, UHC, JOHAB: one byte of ASCII, or two
	GB18030Encoding  // GB18030
)

// ModeOf derives the Mode from what the server reported in ParameterStatus for
// client_encoding and standard_conforming_strings. An encoding that it does not
// know counts as unsafe.
func ModeOf(clientEncoding, standardConformingStrings string) Mode {
	m := encodingMode(clientEncoding)
	if standardConformingStrings != "on" {
		m |= BackslashStrings
	}
	return m
}

// encodingMode knows the encodings by the canonical names that the server
// reports. The safe ones are those that PostgreSQL allows as a server encoding:
// each byte of a multi-byte character is above 0x7f (manual, "Character Set
// Support"; PG_VALID_BE_ENCODING in src/include/mb/pg_wchar.h).
func encodingMode(name string) Mode {
	switch name {
	case "UTF8", "SQL_ASCII", "EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004", "MULE_INTERNAL",
		"LATIN1", "LATIN2", "LATIN3", "LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9", "LATIN10",
		"WIN866", "WIN874", "WIN1250", "WIN1251", "WIN1252", "WIN1253", "WIN1254", "WIN1255", "WIN1256", "WIN1257", "WIN1258",
		"ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "KOI8R", "KOI8U":
		return 0
	case "SJIS":
		return SJISEncoding
	case "SHIFT_JIS_2004":
		return SJIS2004Encoding
	case "BIG5", "GBK", "UHC", "JOHAB":
		return DoubleEncoding
	case "GB18030":
		return GB18030Encoding
	}
	return UnsafeEncoding
}
