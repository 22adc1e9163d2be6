package sqlscan

import (
	"strings"
	"testing"
)

// fingerprints are groups of texts: those of one group have the same
// fingerprint, those of two have not.
var fingerprints = [][]string{
	{"", " ", ";", "-- c", "/* c */ ;;"},
	{"select 1", "SELECT  1;", "select 2 ;;", "; select 'a'", "select $1", "select\n/* c */ 1.5e3 -- d", "select E'\\'' ", "select $$x$$", "select x'ff'"},
	{"select -1", "select - 2"},
	{"select 1, 2", "select 'a', $3"},
	{"select a", "select A", "Select\ta"},
	{`select "a"`},
	{`select "A"`},
	{"select a b", "select a  b"},
	{"select ab"},
	{"select a.b", "select a . b"},
	{"select a from t where b = 1", "select a from t where b = -1", "select a from t where b=+$1;", "SELECT a FROM t WHERE b='x'"},
	{"select a from t where b - 1", "select a from t where b -1"},
	{"select a from t where b <> 1", "select a from t where b<>-1"},
	{"select a from t where b is null"},
	{"select a from t where b is true"},
	{"a in (1)", "a in (1, 2)", "a IN ( $1,$2 , $3 )", "a in (-1, 'x', null)", "a in (NULL, true)"},
	{"a in (b)"},
	{"a in (1, b)", "a in (1, 2, b)"},
	{"a in (b, 1)", "a in (b, null)"},
	{"a in (b, 1, 2)", "a in (b, -1, default)"},
	{"a in (1 + 2)", "a in (1, 1 + 2)", "a in (1+$1)"},
	{"a = any(array[1])", "a = any(array[1, 2, 3])"},
	{"values (1)", "values (1, 2)", "values (1, 2), (3, 4)", "values (default, -1, 'a'), ($1, $2, $3), (1)"},
	{"values (1), (a)", "values (1, 2), (1), (a)"},
	{"values (1), (1, a)", "values (1, 2), (1, 2, a)"},
	{"values (1), a", "values (1), (2, 3), a"},
	{"values (1),", "values (1, 2), (3),"},
	{"values (1), (", "values (1), (2), ("},
	{"values (1), (1", "values (1), (2), (3"},
	{"values (1), (1,", "values (1), (2), (3, 4,"},
	{"values (1), ((1))"},
	{"values (1), ((1)), (1)", "values (1), ((1)), (1), (2, 3)"},
	{"values (1,", "values (1, 2,"},
	{"values (1)) on conflict", "values (1), (2)) on conflict"},
	{"f(1).g(2)", "f(1,2).g(3)"},
	{"select 1; select 2", "select 3;; select 4;"},
	{"select 1 select 2"},
	{"a ? 'b'", "a?$1"},
	{"a 'b'"},
	{"a -", "a - ;"},
	{"= -", "=-;"},
	{"= - a", "=-a"},
	{"= - - 1", "=- -1"},
	{"select 'a", "select 'b", "select $a$ x", "select /* x"},
	{"select {ü}", "select  {ü}"},
	{"select {Ü}"},
	{"insert into t values (now(), 1)"},
}

func TestFingerprintIsThatOfTheGroup(t *testing.T) {
	seen := map[uint64]string{}
	for _, group := range fingerprints {
		want := Fingerprint([]byte(group[0]), 0)
		if other, ok := seen[want]; ok {
			t.Errorf("%q and %q have the same fingerprint", group[0], other)
		}
		seen[want] = group[0]
		for _, sql := range group[1:] {
			if Fingerprint([]byte(sql), 0) != want {
				t.Errorf("%q and %q have different fingerprints", sql, group[0])
			}
		}
	}
}

func TestFingerprintReadsInTheMode(t *testing.T) {
	for _, c := range []struct {
		mode Mode
		a, b string
		same bool
	}{
		{BackslashStrings, `select 'a\'b' from t`, "select 'c' from t", true},
		{0, `select 'a\'b' from t`, "select 'c' from t", false},
		{SJISEncoding, "select '\x83\\', a", "select 'x', a", true},
		{SJISEncoding, "select E'\x83\\', a", "select 'x', a", true},
		{GB18030Encoding, "select E'\xbf\\', a", "select 'x', b", false},
		{GB18030Encoding, "select a\xbf\\", "select a\xbf\x81", false},
	} {
		if got := Fingerprint([]byte(c.a), c.mode) == Fingerprint([]byte(c.b), c.mode); got != c.same {
			t.Errorf("%q and %q in mode %d: same is %t", c.a, c.b, c.mode, got)
		}
	}
}

func TestFingerprintDoesNotAllocate(t *testing.T) {
	for _, group := range fingerprints {
		for _, sql := range group {
			text := []byte(sql)
			if n := testing.AllocsPerRun(3, func() { Fingerprint(text, BackslashStrings) }); n != 0 {
				t.Errorf("%q: %v allocations", sql, n)
			}
		}
	}
}

// FuzzFingerprint changes what must make no difference.
func FuzzFingerprint(f *testing.F) {
	for _, group := range fingerprints {
		f.Add([]byte(group[0]), byte(0))
	}
	for _, e := range examples(f, "effects") {
		f.Add([]byte(e.sql), byte(e.mode))
	}
	f.Fuzz(func(t *testing.T, text []byte, mode byte) {
		m := fuzzMode(mode)
		want := Fingerprint(text, m)
		front := append([]byte(" -- '\n; /* ' */"), text...)
		if got := Fingerprint(front, m); got != want {
			t.Errorf("%q with a comment in front is another", text)
		}
		if Scan(text, m)&Opaque == 0 {
			behind := append(text[:len(text):len(text)], " /* ' */\n; -- '"...)
			if got := Fingerprint(behind, m); got != want {
				t.Errorf("%q with a comment behind is another", text)
			}
		}
	})
}

// FuzzLexer holds the two lexers against each other: they find the same
// statements.
func FuzzLexer(f *testing.F) {
	for _, table := range []string{"effects", "names", "settings", "exits"} {
		for _, e := range examples(f, table) {
			f.Add([]byte(e.sql), byte(e.mode))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, mode byte) {
		m := fuzzMode(mode)
		effects := Scan(text, m)
		l := newLexer(text, m)
		at := 0
		var tok token
		for tok = l.next(); tok.kind != tokenEnd && tok.kind != tokenUnread; tok = l.next() {
			if tok.from < at || tok.to <= tok.from || tok.to > len(text) {
				t.Fatalf("%q: token %d to %d behind %d", text, tok.from, tok.to, at)
			}
			at = tok.to
		}
		if tok.kind == tokenUnread && effects&Opaque == 0 {
			t.Errorf("%q cannot be read, and Scan says %s", text, effects)
		}
		// A statement after it is seen by both, or by neither.
		behind := append(text[:len(text):len(text)], "\n;execute weir_x"...)
		seen := false
		StatementNames(behind, m, func(u NameUse) bool {
			if e := Scan(behind, m); e&(Opaque|map[NameKind]Effects{NameExecute: Execute, NameDeallocate: Deallocate}[u.Kind]) == 0 {
				t.Errorf("%q: %s, and the name %q", behind, e, u.Name)
			}
			seen = seen || u.Name == "weir_x"
			return true
		})
		if balanced := !strings.ContainsAny(string(text), "()"); effects&Opaque == 0 && balanced && !seen && !strings.Contains(strings.ToLower(string(text)), "atomic") {
			t.Errorf("%q: the statement behind it is not seen", text)
		}
		Settings(text, m, func(u SettingUse) bool {
			want := effects&Opaque != 0
			switch u.Kind {
			case SetValue, SetDefault:
				want = want || effects&(Set|SetLocal|Reset) != 0
			case ResetAll:
				want = want || effects&Reset != 0
			case DiscardAll:
				want = want || effects&Discard != 0
			case Begin:
				want = want || effects&TransactionBlock != 0
			default:
				want = true
			}
			if !want {
				t.Errorf("%q: %s, and a setting %+v", text, effects, u)
			}
			return true
		})
		ExitsTransaction(text, m)
	})
}

// fuzzMode makes a Mode that ModeOf may return.
func fuzzMode(b byte) Mode {
	encodings := []string{"UTF8", "SJIS", "SHIFT_JIS_2004", "UHC", "GB18030", "OTHER"}
	return ModeOf(encodings[int(b>>1)%len(encodings)], []string{"on", "off"}[b&1])
}

func BenchmarkFingerprint(b *testing.B) {
	for _, c := range benchmarkTexts {
		b.Run(c.name, func(b *testing.B) {
			text := []byte(c.sql)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Fingerprint(text, 0)
			}
		})
	}
}
