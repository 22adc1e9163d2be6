package proxy_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// What weir takes for a literal must be one for the server: the mode in which the server reads may have been changed by what comes before
// in the same pipeline, or text, or between Parse and Bind.
func TestTextIsReadInTheModeThatHolds(t *testing.T) {
	const (
		tokyo     = "set_config($$TimeZone$$, $$Asia/Tokyo$$, false)"
		backslash = `SELECT '\'', ` + tokyo + `, '\''`                   // with backslashes as escapes
		plain     = `SELECT '\', ` + tokyo + ` --'`                      // without
		sjis      = "SELECT E'\x83\x5c', " + tokyo + ", E'\x83\x5c' --'" // \x83\x5c is one character
		off       = "BEGIN; SET LOCAL standard_conforming_strings = off"
		toSJIS    = "BEGIN; SET LOCAL client_encoding = 'SJIS'"
	)
	named := func(sql string) []pgproto3.FrontendMessage { return []pgproto3.FrontendMessage{parse("s", sql)} }
	bound := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}}
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for name, c := range map[string]struct {
		params []string
		steps  []step
	}{
		"backslash":          {nil, []step{queries(off), queries(backslash), queries("COMMIT")}},
		"backslash, at once": {nil, []step{queries(off, backslash, "COMMIT")}},
		"SJIS":               {nil, []step{queries(toSJIS), queries(sjis), queries("COMMIT")}},
		"SJIS, at once":      {nil, []step{queries(toSJIS, sjis, "COMMIT")}},
		"SJIS, at startup":   {[]string{"client_encoding", "SJIS"}, []step{queries(sjis)}},
		"one text":           {nil, []step{queries(off + "; " + plain + "\n; COMMIT")}},
		"back again":         {[]string{"options", "-c standard_conforming_strings=off"}, []step{queries("BEGIN; SET LOCAL standard_conforming_strings = on", plain, "COMMIT")}},
		"after a rollback":   {nil, []step{queries(off, "ROLLBACK", plain)}},
		"to a savepoint":     {nil, []step{queries("BEGIN; SAVEPOINT a; SET LOCAL standard_conforming_strings = off", "ROLLBACK TO a", plain, "COMMIT")}},
		"set_config":         {nil, []step{queries("BEGIN; SELECT set_config('standard_conforming_strings', 'off', true)", backslash, "COMMIT")}},
		"between Parse and Bind": {nil, []step{
			synced(t, named(plain)...), queries(off), synced(t, bound...), queries("COMMIT"),
		}},
		"between Parse and Bind, at once": {nil, []step{
			inOneWrite(synced(t, named(plain)...), queries(off), synced(t, bound...), queries("COMMIT")),
		}},
		"parsed while it changes": {nil, []step{
			inOneWrite(queries(off), synced(t, named(backslash)...), queries("COMMIT"), synced(t, bound...)),
		}},
		"the unnamed one":  {nil, []step{synced(t, parse("", plain)), runs(t, "")}},
		"B'' goes on":      {[]string{"options", "-c standard_conforming_strings=off"}, []step{queries("ALTER TABLE IF EXISTS nowhere ALTER COLUMN a SET DEFAULT B'1'\n'\\'; SELECT " + tokyo + "; --'")}},
		"hidden in a text": {nil, []step{queries("BEGIN; DO $$BEGIN SET LOCAL standard_conforming_strings = off; END$$", backslash, "COMMIT")}},
	} {
		t.Run(name, func(t *testing.T) {
			expectNoTrace(t, w, d, "SHOW timezone", c.params, c.steps...)
		})
	}
}

// Texts in the encodings whose characters may contain ASCII bytes cost their clients no backend.
func TestTextsInAnyEncodingHoldNoBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for encoding, character := range map[string]string{"SJIS": "\x83\x5c", "GBK": "\x81\x5c", "BIG5": "\xa5\x5c", "UHC": "\x81\x41", "GB18030": "\x81\x5c"} {
		c, other := enter(t, w, d, "client_encoding", encoding), enter(t, w, d)
		for i, s := range []step{
			queries(fmt.Sprintf("SELECT '%s', E'%s'", character, character)), parsesAndRuns(t, "s", "SELECT '"+character+"'"), parsesAndRuns(t, "", "SELECT '"+character+"'"),
		} {
			if got := c.first(s); got != character {
				t.Errorf("%s, step %d: %q", encoding, i, got)
			}
			other.Query("SELECT 1")
		}
		c.Terminate()
	}
}
