package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestPeek(t *testing.T) {
	two := func(a, b []byte, err error) string {
		if err != nil {
			return err.Error()
		}
		return string(a) + "|" + string(b)
	}
	target := func(kind byte, name []byte, err error) string { return two([]byte{kind}, name, err) }
	short := ErrTruncated.Error()
	for _, c := range []struct{ what, got, want string }{
		{"Query", string(PeekQuery([]byte("select 1\x00"))), "select 1"},
		{"Query, empty", string(PeekQuery([]byte("\x00"))), ""},
		{"Query, its beginning", string(PeekQuery([]byte("select"))), "select"},
		{"Query, bytes behind its end", string(PeekQuery([]byte("a\x00b\x00"))), "a"},
		{"Query, nothing", string(PeekQuery(nil)), ""},
		{"Parse", two(PeekParse([]byte("s\x00select $1\x00\x00\x01\x00\x00\x00\x17"))), "s|select $1"},
		{"Parse, unnamed", two(PeekParse([]byte("\x00select\x00\x00\x00"))), "|select"},
		{"Parse, its beginning", two(PeekParse([]byte("s\x00sel"))), "s|sel"},
		{"Parse, a name without end", two(PeekParse([]byte("s"))), short},
		{"Parse, nothing", two(PeekParse(nil)), short},
		{"Bind", two(PeekBind([]byte("p\x00s\x00\x00\x00\x00\x00\x00\x00"))), "p|s"},
		{"Bind, both unnamed", two(PeekBind([]byte("\x00\x00"))), "|"},
		{"Bind, one name", two(PeekBind([]byte("p\x00s"))), short},
		{"Bind, nothing", two(PeekBind(nil)), short},
		{"Describe", target(PeekTarget([]byte("Sname\x00"))), "S|name"},
		{"Close, unnamed", target(PeekTarget([]byte("P\x00"))), "P|"},
		{"Close, a name without end", target(PeekTarget([]byte("Sname"))), short},
		{"Close, a kind only", target(PeekTarget([]byte("S"))), short},
		{"Close, nothing", target(PeekTarget(nil)), short},
		{"tag", string(PeekTag([]byte("INSERT 0 1\x00"))), "INSERT 0 1"},
		{"ParameterStatus", two(PeekParameterStatus([]byte("TimeZone\x00UTC\x00"))), "TimeZone|UTC"},
		{"ParameterStatus, empty", two(PeekParameterStatus([]byte("application_name\x00\x00"))), "application_name|"},
		{"ParameterStatus, a value without end", two(PeekParameterStatus([]byte("a\x00b"))), short},
		{"ParameterStatus, a name only", two(PeekParameterStatus([]byte("a\x00"))), short},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestPeekReadyForQuery(t *testing.T) {
	for _, body := range []string{"", "II"} {
		if _, err := PeekReadyForQuery([]byte(body)); !errors.Is(err, ErrTruncated) {
			t.Errorf("%q: %v", body, err)
		}
	}
	if s, err := PeekReadyForQuery([]byte("T")); s != TxActive || err != nil {
		t.Errorf("T: %v %v", s, err)
	}
}

func TestPeekErrorField(t *testing.T) {
	whole := "SFEHLER\x00VERROR\x00C42601\x00Msyntax error\x00\x00"
	for _, c := range []struct {
		body  string
		field byte
		want  string // "-" where the field is absent
	}{
		{whole, 'S', "FEHLER"},
		{whole, FieldSeverity, "ERROR"},
		{whole, FieldCode, "42601"},
		{whole, FieldMessage, "syntax error"},
		{whole, FieldHint, "-"},
		{whole[:len(whole)-4], FieldMessage, "syntax err"}, // the beginning of a message
		{whole[:9], FieldCode, "-"},
		{"M\x00\x00", FieldMessage, ""},
		{"\x00Mbehind the end\x00", FieldMessage, "-"},
		{"M", FieldMessage, ""},
		{"SFEHLER", FieldMessage, "-"},
		{"", FieldMessage, "-"},
		{whole, 0, "-"},
	} {
		got := PeekErrorField([]byte(c.body), c.field)
		if got == nil {
			got = []byte("-")
		}
		if string(got) != c.want {
			t.Errorf("%q, field %q: %q, want %q", c.body, c.field, got, c.want)
		}
	}
}

func TestFatal(t *testing.T) {
	for body, want := range map[string]bool{
		"SFATAL\x00VFATAL\x00C57P01\x00\x00":    true,
		"SPANICO\x00VPANIC\x00CXX000\x00\x00":   true,
		"SFATAL\x00C57P01\x00\x00":              true, // servers before 9.6
		"SERROR\x00VERROR\x00C42601\x00\x00":    false,
		"SFATAL\x00VERROR\x00C42601\x00\x00":    false, // a language in which that is no end
		"VERROR\x00C42601\x00MFATAL\x00\x00":    false,
		"C57P01\x00Mno severity at all\x00\x00": false,
		"":                                      false,
	} {
		if got := Fatal([]byte(body)); got != want {
			t.Errorf("%q: %t", body, got)
		}
	}
}

// FuzzPeek gives every reader any body. What they return lies within the body, although readable bytes follow it, and holds
// no NUL but where a message's beginning has none to end it.
func FuzzPeek(f *testing.F) {
	for _, seed := range []string{"", "\x00", "a", "select 1\x00", "s\x00select\x00\x00\x00", "Sname\x00", "SERROR\x00VFATAL\x00C57P01\x00Mx\x00\x00", "\x00\x00\x03\xb8"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		around := append(append([]byte("before\x00"), body...), "behind\x00\x00\x00"...)
		inner := around[7 : 7+len(body)] // its capacity goes on: a reader that strays would find something
		within := func(who string, parts ...[]byte) {
			for _, p := range parts {
				if len(p) > len(body) || !bytes.Contains(body, p) || bytes.IndexByte(p, 0) >= 0 {
					t.Fatalf("%s of %q: %q", who, body, p)
				}
			}
		}
		within("PeekQuery", PeekQuery(inner))
		within("PeekTag", PeekTag(inner))
		for who, peek := range map[string]func([]byte) ([]byte, []byte, error){
			"PeekParse": PeekParse, "PeekBind": PeekBind, "PeekParameterStatus": PeekParameterStatus,
		} {
			a, b, err := peek(inner)
			within(who, a, b)
			if need := map[string]int{"PeekParse": 1}[who]; (err != nil) != (bytes.Count(body, []byte{0}) < max(need, 2-need)) {
				t.Fatalf("%s of %q: %v", who, body, err)
			}
		}
		kind, name, err := PeekTarget(inner)
		within("PeekTarget", name)
		if err == nil && kind != body[0] {
			t.Fatalf("PeekTarget of %q: kind %q", body, kind)
		}
		for _, field := range []byte("SVCMDH\x00") {
			within("PeekErrorField", PeekErrorField(inner, field))
		}
		Fatal(inner)
		CallsLargeObject(inner)
		_, _ = PeekReadyForQuery(inner)
		if string(around[:7]) != "before\x00" || string(around[7+len(body):]) != "behind\x00\x00\x00" || !bytes.Equal(inner, body) {
			t.Fatal("a reader has written")
		}
	})
}

func TestPeekAllocatesNothing(t *testing.T) {
	body := []byte("statement\x00" + strings.Repeat("select ", 100) + "\x00\x00\x00")
	report := []byte("SERROR\x00VERROR\x00C42601\x00Mno\x00\x00")
	if n := testing.AllocsPerRun(100, func() {
		frame := PeekFrame([]byte("Q\x00\x00\x00\x05"))
		_ = frame.CheckClient()
		_ = frame.CheckServer()
		PeekQuery(body)
		_, _, _ = PeekParse(body)
		_, _, _ = PeekBind(body)
		_, _, _ = PeekTarget(body)
		_, _, _ = PeekParameterStatus(body)
		PeekErrorField(report, FieldCode)
		Fatal(report)
		CallsLargeObject(body)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
