package sqlscan

import "testing"

func TestSketchesAreTheSameForOneStatement(t *testing.T) {
	for _, same := range [][]string{
		{"select abalance from t where aid = 1", "select abalance from t where aid = 23045", "select abalance from t where aid = 'x''y'"},
		{"select * from t where a in (1)", "select * from t where a in (1, 2,3 ,'x')", "select * from t where a in (1,2)"},
		{"select  1 ,\n 2", "select 7"},
		{"insert into t values (1, 'a')", "insert into t values (2, '')"},
		{"select 1.5e10", "select 2"},
	} {
		want, ok := Sketch([]byte(same[0]))
		for _, text := range same {
			if got, read := Sketch([]byte(text)); !ok || !read || got != want {
				t.Errorf("%q has another sketch than %q, or none", text, same[0])
			}
		}
	}
}

func TestSketchesOfTwoStatementsDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for _, text := range []string{
		"select f(1)", "select g(1)", "select f(1), g(1)", "select f ( 1 )", "select f1(1)", "select f2(1)", "select a from t", "select a1 from t",
		"select 'a', f(1)", "select 'a' f", "select a - b", "select a / b", "select 1; select f(1)", "select 1", "", " ", "select 1 a",
		"select 1,f", "select t.a", "select t . a",
	} {
		print, ok := Sketch([]byte(text))
		if other, has := seen[print]; !ok || has {
			t.Errorf("%q has the sketch of %q, or none", text, other)
		}
		seen[print] = text
	}
}

func TestSketchLeavesToALexerWhatTakesOne(t *testing.T) {
	for _, text := range []string{
		"select 1 -- f(1)", "select /* f(1) */ 1", `select '\', f(1), '`, "select 'a", "select e'a'", "select E'a'", "select $1", "select $$a$$",
		`select "a"`, "select 'ä', ä", "select a$b", "select 1a", "select 1from t", "select x'00'", "select 'a'\x00",
	} {
		if _, ok := Sketch([]byte(text)); ok {
			t.Errorf("%q has a sketch", text)
		}
	}
}

func BenchmarkSketch(b *testing.B) {
	text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = 4711;")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Sketch(text)
	}
}
