package sqlscan

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// otherLiterals returns a text of the same shape: in the place of each literal stands another.
func otherLiterals(s *Shape, random *rand.Rand) string {
	values := []string{"", "x", "set_config", "; set a = 1 --", "''", "1", " /* ", "true", "$$"}
	var b strings.Builder
	for _, p := range s.parts {
		b.WriteString(p.text)
		if p.quoted {
			b.WriteString("'" + values[random.IntN(len(values))] + "'")
		} else {
			b.WriteString(strconv.Itoa(random.IntN(100_000)))
		}
	}
	return b.String() + s.tail
}

// TestTextsOfOneShapeDoTheSame: what has no effect has none with other literals, and is the same statement, however the server reads it.
func TestTextsOfOneShapeDoTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	shaped := 0
	for _, e := range examples(t, "effects") {
		shape, ok := ShapeOf([]byte(e.sql))
		if !ok || e.want != "none" {
			continue
		}
		shaped++
		if !shape.Fits([]byte(e.sql)) {
			t.Errorf("%s: %q is not of its own shape", e.at, e.sql)
		}
		for range 20 {
			text := []byte(otherLiterals(&shape, random))
			if !shape.Fits(text) {
				t.Errorf("%s: %q is not of the shape of %q", e.at, text, e.sql)
			}
			for _, mode := range []Mode{0, BackslashStrings, e.mode} {
				if got := Scan(text, mode); got != 0 {
					t.Errorf("%s: %q, in the shape of %q: %s", e.at, text, e.sql, got)
				}
				if Identify(text, mode) != Identify([]byte(e.sql), mode) {
					t.Errorf("%s: %q is another statement than %q", e.at, text, e.sql)
				}
			}
		}
	}
	if shaped < 50 {
		t.Errorf("only %d texts have a shape", shaped)
	}
}

func TestWhatIsNoLiteralBelongsToTheShape(t *testing.T) {
	shape, ok := ShapeOf([]byte(`select a1, "b" from t where c = 12 and d in ('x', -3.5);`))
	if !ok {
		t.Fatal("it has none")
	}
	for text, want := range map[string]bool{
		`select a1, "b" from t where c = 7 and d in ('it''s', -100.25);`: true,
		`select a1, "b" from t where c = 7 and d in ('', -1.0);`:         true,
		`select a2, "b" from t where c = 7 and d in ('x', -1.0);`:        false,
		`select a1, "c" from t where c = 7 and d in ('x', -1.0);`:        false,
		`select a1, "b" from t where c = 7 and d in ('x', -1.0)`:         false,
		`select a1, "b" from t where c = 7 and d in ('x', -1.0); `:       false,
		`select a1, "b" from t where c =  and d in ('x', -1.0);`:         false,
		`select a1, "b" from t where c = 7e and d in ('x', -1.0);`:       false,
		`select a1, "b" from t where c = 7 and d in ('x\', -1.0);`:       false,
		`select a1, "b" from t where c = 7 and d in ('ä', -1.0);`:        false,
		`select a1, "b" from t where c = 7 and d in ('x'y', -1.0);`:      false,
		`select a1, "b" from t where c = 7 and d in ('x, -1.0);`:         false,
		`select a1, "b" from t where c = 7 and d in (1, -1.0);`:          false,
		`select a1, "b" from t where c = 'a' and d in ('x', -1.0);`:      false,
		`select a1, "b" from t where c = `:                               false,
		``:                                                               false,
	} {
		if got := shape.Fits([]byte(text)); got != want {
			t.Errorf("%q fits: %v, want %v", text, got, want)
		}
	}
}

func TestWhatTakesALexerHasNoShape(t *testing.T) {
	for _, text := range []string{
		"select 1 -- f(1)", "select /* f(1) */ 1", `select '\', f(1), '`, "select 'a", "select e'a'", "select E'a'", "select $1", "select $$a$$",
		`select "a`, `select u&"a"`, `select u&'a'`, "select 'ä', ä", `select "ä"`, "select a$b", "select 1a", "select 1e5", "select x'00'", "select 'a'\x00",
		"select 1" + strings.Repeat(", 1", shapePartsMax), "select " + strings.Repeat("a", shapeTextMax),
	} {
		if _, ok := ShapeOf([]byte(text)); ok {
			t.Errorf("%q has a shape", text)
		}
	}
}

func BenchmarkShape(b *testing.B) {
	shape, ok := ShapeOf([]byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"))
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 12;")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		ok = ok && shape.Fits(text)
	}
	if !ok {
		b.Fatal("it does not fit")
	}
}
