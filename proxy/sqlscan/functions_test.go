package sqlscan

import "testing"

func TestFunctionsOfTheOperators(t *testing.T) {
	f := NewFunctions([]string{"app.hides", "Anywhere"}, []string{"app.tidy", "plain"})
	for text, want := range map[string]Effects{
		"select 1":                                    0,
		"select hides":                                0,
		"select 'app.hides()' -- hides()":             0,
		"select app.hides()":                          Opaque,
		"select hides(1)":                             Opaque,
		"SELECT\n\"app\" /* x */ . HIDES\n(1)":        Opaque,
		"select x.anywhere (1)":                       Opaque,
		"select not_anywhere(1)":                      0,
		"call app.tidy(1)":                            CleanCall,
		"CALL app . TIDY (1); call plain()":           CleanCall,
		"call app.other(1)":                           Call,
		"call tidy(1)":                                Call,
		"call app.tidy(); call app.other()":           Call,
		"call app.tidy(hides())":                      Call | Opaque,
		"call plain(app.other())":                     CleanCall,
		"select recall.plain(1), call from plain (1)": 0,
		"set a = 1; call plain()":                     Set | CleanCall,
	} {
		if got := f.Effects([]byte(text), 0, Scan([]byte(text), 0)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	var none *Functions
	if NewFunctions(nil, nil) != nil || none.Effects([]byte("call x()"), 0, Call) != Call {
		t.Error("no functions have effects")
	}
}
