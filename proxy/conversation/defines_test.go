package conversation

import (
	"testing"

	"weir/proxy/sqlscan"
)

// TestTextsThatMayDefine: after them statements are learnt anew in all pools, which costs all others something, so what makes tables is none.
func TestTextsThatMayDefine(t *testing.T) {
	for text, want := range map[string]struct{ reshaped, defines bool }{
		"do $$begin execute format('create table if not exists part_%s partition of t default', 1); end$$":   {true, false},
		"do $$begin drop table if exists t; create table t (a int); end$$":                                   {true, false},
		"do $$begin CREATE OR REPLACE FUNCTION f() returns int language sql as 'select 1'; end$$":            {true, true},
		"do $$begin create table t (a int); create trigger t before insert on t execute function f(); end$$": {true, true},
		"do $$begin alter table t enable trigger all; end$$":                                                 {true, true},
		"do $$begin perform f(); end$$":                              {false, false},
		"do $$begin raise notice 'no function has this type'; end$$": {false, false},
	} {
		s := Server{shared: &Shared{}}
		s.suspectsDefining([]byte(text), sqlscan.Scan([]byte(text), 0))
		if s.reshaped != want.reshaped || s.defines != want.defines {
			t.Errorf("%s: reshaped %t, defines %t", text, s.reshaped, s.defines)
		}
	}
}
