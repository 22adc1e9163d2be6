package sqlscan

import (
	"strings"
	"testing"
	"unsafe"
)

func TestTextHasTheEffectsOfTheTable(t *testing.T) {
	for _, e := range examples(t, "effects") {
		if got := Scan([]byte(e.sql), e.mode).String(); got != e.want {
			t.Errorf("%s: %q: %s, want %s", e.at, e.sql, got, e.want)
		}
	}
}

// feed reads a text in pieces of n bytes, asking for the verdict in between,
// which must not disturb anything.
func feed(text []byte, mode Mode, n int) Effects {
	s := NewScanner(mode)
	for len(text) > n {
		s.Feed(text[:n])
		s.Effects()
		text = text[n:]
	}
	s.Feed(text)
	return s.Effects()
}

func TestPiecesGiveTheVerdictOfTheWhole(t *testing.T) {
	for _, e := range examples(t, "effects") {
		for n := 1; n < len(e.sql); n++ {
			if got := feed([]byte(e.sql), e.mode, n).String(); got != e.want {
				t.Errorf("%s: %q in pieces of %d: %s, want %s", e.at, e.sql, n, got, e.want)
			}
		}
		for n := range e.sql {
			s := NewScanner(e.mode)
			s.Feed([]byte(e.sql[:n]))
			s.Feed([]byte(e.sql[n:]))
			if got := s.Effects().String(); got != e.want {
				t.Errorf("%s: %q cut at %d: %s, want %s", e.at, e.sql, n, got, e.want)
			}
		}
	}
}

func TestEveryEffectHasALine(t *testing.T) {
	var seen Effects
	for _, e := range examples(t, "effects") {
		seen |= Scan([]byte(e.sql), e.mode)
	}
	if all := Effects(1)<<len(effectNames) - 1; seen != all {
		t.Errorf("no line of testdata/effects.txt shows %s", all&^seen)
	}
}

func TestFilterPassesEveryWord(t *testing.T) {
	for word, kw := range words {
		if len(word) > wordBytesMax {
			t.Errorf("%s does not fit into a Scanner", word)
		}
		for _, w := range []string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:]} {
			if mayMatter[w[0]]>>len(w)&1 == 0 {
				t.Errorf("the filter turns %s away", w)
			}
			if got := lookup([]byte(w)); got != kw {
				t.Errorf("lookup(%s) = %d, want %d", w, got, kw)
			}
		}
	}
}

func TestLongWordMeansTheSameWhereverItIsCut(t *testing.T) {
	for _, sql := range []string{
		"select pg_advisory_lock" + strings.Repeat("x", 100) + "(1)",
		"select set_config" + strings.Repeat("x", 100) + "(1,2,false)",
		`select "set_config` + strings.Repeat("x", 100) + `"(1,2,false)`,
	} {
		want := Scan([]byte(sql), 0)
		for n := 1; n < len(sql); n++ {
			if got := feed([]byte(sql), 0, n); got != want {
				t.Errorf("%q in pieces of %d: %s, want %s", sql, n, got, want)
			}
		}
	}
}

func TestModeFollowsWhatTheServerReports(t *testing.T) {
	for _, c := range []struct {
		encoding, strings string
		want              Mode
	}{
		{"UTF8", "on", 0},
		{"SQL_ASCII", "on", 0},
		{"UTF8", "off", BackslashStrings},
		{"SJIS", "on", SJISEncoding},
		{"SHIFT_JIS_2004", "on", SJIS2004Encoding},
		{"UHC", "on", DoubleEncoding},
		{"BIG5", "on", DoubleEncoding},
		{"GBK", "off", DoubleEncoding | BackslashStrings},
		{"JOHAB", "on", DoubleEncoding},
		{"GB18030", "off", GB18030Encoding | BackslashStrings},
		{"EUC_JP", "on", 0},
		{"LATIN77", "on", UnsafeEncoding},
		{"", "", UnsafeEncoding | BackslashStrings},
	} {
		if got := ModeOf(c.encoding, c.strings); got != c.want {
			t.Errorf("ModeOf(%q, %q) = %d, want %d", c.encoding, c.strings, got, c.want)
		}
	}
}

func TestScannerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Scanner{}); size > 80 {
		t.Errorf("a Scanner has %d bytes", size)
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	for _, e := range examples(t, "effects") {
		text := []byte(e.sql)
		if n := testing.AllocsPerRun(3, func() {
			Scan(text, e.mode)
			feed(text, e.mode, 3)
		}); n != 0 {
			t.Errorf("%q: %v allocations", e.sql, n)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, e := range examples(f, "effects") {
		f.Add([]byte(e.sql), uint8(e.mode), uint16(3), uint16(7))
	}
	f.Fuzz(func(t *testing.T, text []byte, mode uint8, a, b uint16) {
		m := fuzzMode(mode)
		want := Scan(text, m)
		if n := int(a); n > 0 && n < len(text) {
			if got := feed(text, m, n); got != want {
				t.Errorf("%q in pieces of %d: %s, want %s", text, n, got, want)
			}
		}
		if n := int(b); n < len(text) {
			s := NewScanner(m)
			s.Feed(text[:n])
			s.Feed(text[n:])
			if got := s.Effects(); got != want {
				t.Errorf("%q cut at %d: %s, want %s", text, n, got, want)
			}
		}
		// A clean text stays clean with a comment in front, and one that is not
		// stays what it is with a statement after it.
		if got := Scan(append([]byte("/* ' */"), text...), m); got != want {
			t.Errorf("%q with a comment in front: %s, want %s", text, got, want)
		}
		if want&Opaque == 0 {
			if got := Scan(append(text[:len(text):len(text)], "\n;set a.b = 1"...), m); got != want|Set {
				t.Errorf("%q with a SET behind: %s, want %s", text, got, want|Set)
			}
		}
	})
}

var benchmarkTexts = []struct{ name, sql string }{
	{"pgbench", "SELECT abalance FROM pgbench_accounts WHERE aid = 123456789;"},
	{"update", "UPDATE pgbench_accounts SET abalance = abalance + -1234 WHERE aid = 1234567;"},
	{"orm", `SELECT "books"."id", "books"."title", "books"."price", "authors"."name" FROM "books" INNER JOIN "authors" ON ("books"."author_id" = "authors"."id") WHERE "books"."title" LIKE $1 ORDER BY "books"."id" LIMIT 20`},
	{"insert", "insert into t (a, b) values ('" + strings.Repeat("some text ", 100) + "', 1)"},
	{"set", "set local statement_timeout = '5s'"},
	{"begin", "BEGIN"},
	{"execute", "EXECUTE find_books(1, 'abc')"},
	{"japanese", "select * from t where a = '" + strings.Repeat("\x83\x5c\x82\xa0", 100) + "'"},
}

// 1.4 to 1.8 ns a byte on the pgbench SELECT in 2026; MB/s is over the whole text.
func BenchmarkScan(b *testing.B) {
	for _, c := range benchmarkTexts {
		mode := Mode(0)
		if c.name == "japanese" {
			mode = SJISEncoding
		}
		b.Run(c.name, func(b *testing.B) {
			text := []byte(c.sql)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Scan(text, mode)
			}
		})
	}
}

func BenchmarkStatementNames(b *testing.B) {
	for _, c := range benchmarkTexts {
		b.Run(c.name, func(b *testing.B) {
			text := []byte(c.sql)
			b.ReportAllocs()
			for b.Loop() {
				StatementNames(text, 0, func(NameUse) bool { return true })
			}
		})
	}
}
