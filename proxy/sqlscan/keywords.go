package sqlscan

import "strings"

// columnKeywords are PostgreSQL's keywords that may name a column, but no
// function, and reservedKeywords those that may name nothing without quotes, or
// functions and types alone: of all versions up to 19 (pg_get_keywords(); src/include/parser/kwlist.h).
// All other keywords may name anything, like ordinary words.
const (
	columnKeywords = `
between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping inout int
integer interval json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
json_serialize json_table json_value least merge_action national nchar none normalize nullif numeric out overlay
position precision real row setof smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`

	reservedKeywords = `
authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join left like
natural notnull outer overlaps right similar tablesample verbose
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
leading limit localtime localtimestamp not null offset on only or order placing primary references returning select
session_user some symmetric system_user table then to trailing true union unique user using variadic when where window
with`

	keywordBytesMax = 24
)

// keywords has both; true for those that may be a name (ColId in
// src/backend/parser/gram.y).
var keywords = func() map[string]bool {
	m := map[string]bool{}
	for _, word := range strings.Fields(columnKeywords) {
		m[word] = true
	}
	for _, word := range strings.Fields(reservedKeywords) {
		m[word] = false
	}
	return m
}()

// appendQuoted appends a name as quote_identifier writes it
// (src/backend/utils/adt/ruleutils.c).
func appendQuoted(out []byte, name string) []byte {
	if isPlain(name) {
		return append(out, name...)
	}
	out = append(out, '"')
	for i := range len(name) {
		if name[i] == '"' {
			out = append(out, '"')
		}
		out = append(out, name[i])
	}
	return append(out, '"')
}

// isPlain tells whether a name means itself without quotes.
func isPlain(name string) bool {
	if name == "" || '0' <= name[0] && name[0] <= '9' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	_, isKeyword := keywords[name]
	return !isKeyword
}
