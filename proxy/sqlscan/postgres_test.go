package sqlscan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

func database(t *testing.T) *pgserver.Database {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	return pgserver.ForTest(t)
}

// session is a connection whose texts the server reads in a Mode.
type session struct {
	*pgconn.PgConn
	t    *testing.T
	mode Mode
}

func connect(t *testing.T, dsn, encoding, conforming string) session {
	t.Helper()
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams = map[string]string{
		"client_encoding": encoding, "standard_conforming_strings": conforming, "escape_string_warning": "off", "backslash_quote": "on",
	}
	conn, err := pgconn.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return session{conn, t, ModeOf(conn.ParameterStatus("client_encoding"), conn.ParameterStatus("standard_conforming_strings"))}
}

// query runs a simple Query and returns the last row's first value.
func (s session) query(sql string) (string, error) {
	results, err := s.Exec(context.Background(), sql).ReadAll()
	out := ""
	for _, r := range results {
		for _, row := range r.Rows {
			out = string(row[0])
		}
	}
	return out, err
}

func (s session) must(sql string) string {
	s.t.Helper()
	out, err := s.query(sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func code(err error) string {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// sessions gives each example a connection of its encoding and mode.
func sessions(t *testing.T, d *pgserver.Database) func(e example) session {
	open := map[string]session{}
	return func(e example) session {
		conforming := "on"
		if e.mode&BackslashStrings != 0 {
			conforming = "off"
		}
		s, ok := open[e.encoding+conforming]
		if !ok {
			s = connect(t, d.DSN(), e.encoding, conforming)
			open[e.encoding+conforming] = s
		}
		return s
	}
}

// compare runs a text that may hold set a.b = 1 and compares what it did with
// what Scan says that it may have done.
func (s session) compare(at, sql string) (ran bool) {
	s.t.Helper()
	s.must("set a.b = 0")
	_, err := s.query(sql)
	set := s.must("rollback; select current_setting('a.b')") == "1"
	got := Scan([]byte(sql), s.mode)
	if set && got&(Set|SetConfig|Opaque) == 0 {
		s.t.Errorf("%s: %q in mode %d: PostgreSQL ran its SET, Scan says %s", at, sql, s.mode, got)
	}
	if err == nil && !set && got&(Set|Opaque) == Set {
		s.t.Errorf("%s: %q in mode %d: PostgreSQL ran no SET, Scan says %s", at, sql, s.mode, got)
	}
	return err == nil
}

func TestPostgreSQLReadsTheTableAsScanDoes(t *testing.T) {
	session := sessions(t, database(t))
	for _, e := range examples(t, "effects") {
		if e.encoding != "OTHER" && strings.Contains(e.sql, "set a.b = 1") && !strings.Contains(e.sql, "set c.d") {
			session(e).compare(e.at, e.sql)
		}
	}
}

// TestPostgreSQLReadsStringsAsScanDoes makes texts of strings that end, or do
// not, by their kind, the mode and the encoding.
func TestPostgreSQLReadsStringsAsScanDoes(t *testing.T) {
	d := database(t)
	for _, encoding := range []struct {
		name       string
		characters []string
	}{
		{"UTF8", []string{"ü", "字"}},
		{"SJIS", []string{"\x83\\", "\x82\xa0", "\xb1", "\x83A", "\x8f\\"}},
		{"SHIFT_JIS_2004", []string{"\x83\\", "\x82\xa0", "\xb1", "\x81\x5f", "\x81\xb0"}},
		{"BIG5", []string{"\xa5\\", "\xa4\xa4", "\xb3\\"}},
		{"GBK", []string{"\xbf\\", "\x95\\", "\xd6\xd0", "\x81\x40"}},
		{"UHC", []string{"\x81A", "\xb0\xa1", "\x81Z"}},
		{"JOHAB", []string{"\xa4\xa1", "\x8e\xa1"}},
		{"GB18030", []string{"\xbf\\", "\xd6\xd0", "\x81\x30\x89\x38", "\x84\x31\xa4\x37"}},
	} {
		for _, conforming := range []string{"on", "off"} {
			t.Run(encoding.name+" "+conforming, func(t *testing.T) {
				s := connect(t, d.DSN(), encoding.name, conforming)
				random := rand.New(rand.NewPCG(1, uint64(len(encoding.characters))))
				pick := func(from ...string) string { return from[random.IntN(len(from))] }
				ran := 0
				for range 800 {
					var b strings.Builder
					b.WriteString("select ")
					for n := random.IntN(3); n >= 0; n-- {
						b.WriteString(pick("", "", "E", "e", "B", "X", "N", "U&", "e", "date", "1E", "1e5"))
						b.WriteString(pick("'", "'", "'", "'", "$$", "\""))
						for n := random.IntN(4); n > 0; n-- {
							b.WriteString(pick(append(encoding.characters, `\`, `\\`, `''`, `1`, `0`, `x`)...))
						}
						b.WriteString(pick("'", "'", "'", "'", "$$", "\""))
						b.WriteString(pick("", ",", "||", ", ", "\n", " -- '\n", "\n/* ' */", " ", "\r\n -- \\\n\t"))
					}
					b.WriteString(pick("; set a.b = 1; --'", "; set a.b = 1; --\\'", "; set a.b = 1; --\"'", "; set a.b = 1; --$$", "; set a.b = 1"))
					if s.compare("random", b.String()) {
						ran++
					}
				}
				if ran < 50 {
					t.Errorf("only %d of the texts were valid", ran)
				}
			})
		}
	}
}

// TestPostgreSQLReadsNumbersAsScanDoes makes texts of numbers with words and
// dollar quotes directly after them. PostgreSQL 14 takes many of them, later
// ones few.
func TestPostgreSQLReadsNumbersAsScanDoes(t *testing.T) {
	s := connect(t, database(t).DSN(), "UTF8", "on")
	s.must("create type pair as (e5$$ int); create function pair() returns pair immutable language sql as 'select row(1)::pair'")
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	temporary := 0
	for range 1000 {
		text := "select " + pick("1", "12", "1.", ".5", "1.5", "(pair()).", "$1.", "0x1f", "1_0")
		for n := random.IntN(4); n > 0; n-- {
			text += pick("e5", "E", "e", "+", "-", "e+1", "e-", ".", "5", "_", "x", "$$", " ", "--\n", "/**/")
		}
		text += pick("into temp t", "into temp t", "into/**/temp t", "", "$$", " into temp t", "into temp t--$$") + pick("", ";set a.b = 1", "; set a.b = 1; --$$")
		s.compare("random", text)
		s.must("discard temp")
		if _, err := s.query(text); err == nil && s.must("select count(*) from pg_class where relname = 't' and relpersistence = 't'") == "1" {
			temporary++
			if got := Scan([]byte(text), 0); got&(Temp|Opaque) == 0 {
				t.Errorf("%q makes a temporary table, Scan says %s", text, got)
			}
		}
		s.must("discard temp")
	}
	if temporary < 20 {
		t.Errorf("only %d of the texts made a table", temporary)
	}
}

// TestNoCharacterBecomesASCII asks PostgreSQL for each character of two bytes
// what it is converted to.
func TestNoCharacterBecomesASCII(t *testing.T) {
	d := database(t)
	s := connect(t, d.DSN(), "UTF8", "on")
	s.must(`create function text_of(b bytea, e name) returns text language plpgsql as
		$$ begin return convert_from(b, e); exception when others then return null; end $$`)
	for _, encoding := range []string{"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "JOHAB", "GB18030"} {
		got := s.must(fmt.Sprintf(`select coalesce(string_agg(encode(b, 'hex'), ' ' order by b), '') from (
			select set_byte(set_byte('\x0000', 0, high), 1, low) b, text_of(set_byte(set_byte('\x0000', 0, high), 1, low), '%s') t
			from generate_series(129, 254) high, generate_series(48, 254) low) x
			where length(t) = 1 and t ~ '[\x01-\x7f]'`, encoding))
		var want []string
		for high := 129; high <= 254; high++ {
			for low := 48; low <= 254; low++ {
				var char characters
				mode := ModeOf(encoding, "on")
				char.next(mode, byte(high))
				if char == between {
					continue
				}
				if _, becomes := char.next(mode, byte(low)); becomes {
					want = append(want, fmt.Sprintf("%02x%02x", high, low))
				}
			}
		}
		if w := strings.Join(want, " "); got != w {
			t.Errorf("%s: %q become ASCII, want %q", encoding, got, w)
		}
	}
}

// TestSettingIsWhatSetConfigSets runs the table's statements, and set_config
// with what Settings reads in them.
func TestSettingIsWhatSetConfigSets(t *testing.T) {
	d := database(t)
	d.Exec(t, `create role a`, `create role "A"`)
	t.Cleanup(func() { d.Exec(t, `drop role a`, `drop role "A"`) })
	session := sessions(t, d)
	literal := func(s string) string {
		return "E'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(s) + "'"
	}
	same := 0
	for _, e := range examples(t, "settings") {
		var uses []SettingUse
		plain := true
		read := Settings([]byte(e.sql), e.mode, func(u SettingUse) bool {
			plain = plain && u.Kind == SetValue && !u.NotLiteral
			uses = append(uses, u)
			return true
		})
		if !read || !plain || len(uses) == 0 || e.encoding == "OTHER" {
			continue
		}
		s := session(e)
		show := func() (out string) {
			for _, u := range uses {
				name := `"` + strings.ReplaceAll(u.Name, ".", `"."`) + `"`
				out += u.Name + "=" + s.must("show "+name) + "\n"
			}
			return out
		}
		s.must("begin")
		_, err := s.query(e.sql)
		if err != nil {
			s.must("rollback")
			if c := code(err); c == "42601" {
				t.Errorf("%s: %q: %v", e.at, e.sql, err)
			}
			continue
		}
		want := show()
		s.must("rollback")
		s.must("begin")
		for _, u := range uses {
			value := literal(u.Value)
			if e.encoding != "UTF8" { // where a doubled backslash would be half a character
				value = "$weir$" + u.Value + "$weir$"
			}
			if _, err := s.query(fmt.Sprintf("select set_config(%s, %s, %t)", literal(u.Name), value, u.Local)); err != nil {
				t.Fatalf("%s: %q: set_config(%q, %q): %v", e.at, e.sql, u.Name, u.Value, err)
			}
		}
		if got := show(); got != want {
			t.Errorf("%s: %q sets %s; set_config: %s", e.at, e.sql, want, got)
		}
		s.must("rollback")
		same++
	}
	if same < 70 {
		t.Errorf("only %d statements could be compared", same)
	}
}

func TestStatementNameIsTheServers(t *testing.T) {
	session := sessions(t, database(t))
	for _, e := range examples(t, "names") {
		if e.encoding == "OTHER" {
			continue
		}
		s := session(e)
		StatementNames([]byte(e.sql), e.mode, func(u NameUse) bool {
			if !u.Sole || u.All {
				return true
			}
			if _, err := s.Prepare(context.Background(), u.Name, "select 1", nil); err != nil {
				t.Fatal(err)
			}
			_, err := s.query("begin; " + e.sql)
			s.must("rollback")
			if c := code(err); c == "26000" || c == "42601" && !strings.Contains(err.Error(), "wrong number of parameters") {
				t.Errorf("%s: %q: %v", e.at, e.sql, err)
			}
			left := s.must("select count(*) from pg_prepared_statements")
			if want := map[NameKind]string{NameExecute: "1", NameDeallocate: "0"}[u.Kind]; left != want {
				t.Errorf("%s: %q leaves %s statements", e.at, e.sql, left)
			}
			s.must("deallocate all")
			return true
		})
	}
}

func TestFailedTransactionTakesWhatExitsIt(t *testing.T) {
	session := sessions(t, database(t))
	for _, e := range examples(t, "exits") {
		if e.encoding == "OTHER" {
			continue
		}
		s := session(e)
		s.must("begin")
		if _, err := s.query("select 1/0"); err == nil {
			t.Fatal("no error")
		}
		_, err := s.Prepare(context.Background(), "", e.sql, nil)
		if exits := ExitsTransaction([]byte(e.sql), e.mode); exits != (err == nil) && code(err) != "42601" {
			t.Errorf("%s: %q: exits %t, PostgreSQL says %v", e.at, e.sql, exits, err)
		} else if exits && err != nil {
			t.Errorf("%s: %q: %v", e.at, e.sql, err)
		}
		s.must("rollback")
	}
}

func TestKeywordsAreTheServers(t *testing.T) {
	s := connect(t, database(t).DSN(), "UTF8", "on")
	for _, c := range []struct {
		codes   string
		mayName bool
	}{{"'C'", true}, {"'R', 'T'", false}} {
		for _, word := range strings.Fields(s.must("select string_agg(word, ' ') from pg_get_keywords() where catcode in (" + c.codes + ")")) {
			if mayName, ok := keywords[word]; !ok || mayName != c.mayName {
				t.Errorf("%s is one of %s", word, c.codes)
			}
			if len(word) > keywordBytesMax {
				t.Errorf("%s is longer than %d bytes", word, keywordBytesMax)
			}
		}
	}
}
