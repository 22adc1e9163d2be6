package conversation

import (
	"testing"

	"weir/proxy/sqlscan"
)

// TestTextsThatMayDefine: after them statements are learnt anew in all pools, which costs all others something, so what makes tables is none.
func TestTextsThatMayDefine(t *testing.T) {
	for text, want := range map[string]Changes{
		"do $$begin execute format('create table if not exists part_%s partition of t default', 1); end$$":   ChangesTexts,
		"do $$begin drop table if exists t; create table t (a int); end$$":                                   ChangesTexts,
		"do $$begin CREATE OR REPLACE FUNCTION f() returns int language sql as 'select 1'; end$$":            ChangesTexts | ChangesStatements,
		"do $$begin create table t (a int); create trigger t before insert on t execute function f(); end$$": ChangesTexts | ChangesStatements,
		"do $$begin alter table t enable trigger all; end$$":                                                 ChangesTexts | ChangesStatements,
		"do $$begin perform f(); end$$":                              0,
		"do $$begin raise notice 'no function has this type'; end$$": 0,
	} {
		s := Server{shared: &Shared{}}
		s.suspectsDefining([]byte(text), sqlscan.Scan([]byte(text), 0))
		if s.changes != want {
			t.Errorf("%s: changes %b instead of %b", text, s.changes, want)
		}
	}
}
