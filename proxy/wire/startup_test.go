package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"weir/proxy/pgerror"
)

// packet makes a first packet's body: a code and what stands behind it.
func packet(code uint32, rest string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, code), rest...)
}

const v30 = 3 << 16

func TestFirstPacketsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		want Startup
	}{
		"startup": {
			packet(v30, "user\x00app\x00database\x00shop\x00\x00"),
			Startup{Major: 3, Params: []Param{{"user", "app"}, {"database", "shop"}}},
		},
		"startup without parameters": {packet(v30, "\x00"), Startup{Major: 3}},
		"empty value":                {packet(v30, "options\x00\x00\x00"), Startup{Major: 3, Params: []Param{{"options", ""}}}},
		"duplicates stay in order": {
			packet(v30, "user\x00a\x00user\x00b\x00\x00"),
			Startup{Major: 3, Params: []Param{{"user", "a"}, {"user", "b"}}},
		},
		"protocol 3.2 with an option": {
			packet(v30|2, "_pq_.x\x001\x00user\x00a\x00\x00"),
			Startup{Major: 3, Minor: 2, Params: []Param{{"user", "a"}}, Options: []string{"_pq_.x"}},
		},
		"protocol 2 is not read further": {packet(2<<16, "shop\x00\x00\x00app"), Startup{Major: 2}},
		"protocol 4":                     {packet(4<<16|1, ""), Startup{Major: 4, Minor: 1}},
		"SSLRequest":                     {packet(80877103, ""), Startup{Kind: StartupSSL}},
		"GSSENCRequest":                  {packet(80877104, ""), Startup{Kind: StartupGSSENC}},
		"CancelRequest": {
			packet(80877102, "\x00\x00\x00\x07abcd"), Startup{Kind: StartupCancel, PID: 7, Secret: []byte("abcd")},
		},
		"CancelRequest of protocol 3.2": {
			packet(80877102, "\x00\x00\x00\x07"+strings.Repeat("k", 256)),
			Startup{Kind: StartupCancel, PID: 7, Secret: bytes.Repeat([]byte("k"), 256)},
		},
		"the longest": {
			packet(v30, "user\x00"+strings.Repeat("a", MaxStartupPacket-4-7)+"\x00\x00"),
			Startup{Major: 3, Params: []Param{{"user", strings.Repeat("a", MaxStartupPacket-4-7)}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStartup(c.body)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("read %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestMalformedFirstPackets(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"nothing":                  {nil, ErrNotStartup},
		"less than a version":      {[]byte{0, 3, 0}, ErrNotStartup},
		"one byte too long":        {packet(v30, strings.Repeat("a", MaxStartupPacket-3)), ErrNotStartup},
		"secret of 3 bytes":        {packet(80877102, "\x00\x00\x00\x07abc"), ErrNotStartup},
		"secret of 257 bytes":      {packet(80877102, "\x00\x00\x00\x07"+strings.Repeat("k", 257)), ErrNotStartup},
		"no secret":                {packet(80877102, ""), ErrNotStartup},
		"SSLRequest with a tail":   {packet(80877103, "x"), ErrNotStartup},
		"no terminator":            {packet(v30, "user\x00app\x00"), pgerror.MissingTerminator},
		"nothing behind a version": {packet(v30, ""), pgerror.MissingTerminator},
		"name without value":       {packet(v30, "user\x00"), pgerror.MissingTerminator},
		"odd list":                 {packet(v30, "user\x00app\x00database\x00\x00"), pgerror.MissingTerminator},
		"name without end":         {packet(v30, "user"), pgerror.MissingTerminator},
		"value without end":        {packet(v30, "user\x00app"), pgerror.MissingTerminator},
		"NUL byte inside":          {packet(v30, "user\x00ap\x00p\x00\x00"), pgerror.MissingTerminator},
		"bytes behind the end":     {packet(v30, "user\x00app\x00\x00x"), pgerror.MissingTerminator},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStartup(c.body)
			if !errors.Is(err, c.want) {
				t.Errorf("read %+v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestStartupLengthIsBoundedOnBothSides(t *testing.T) {
	for n, want := range map[uint32]bool{0: false, 4: false, 7: false, 8: true, 10_004: true, 10_005: false, 1 << 31: false, 1<<32 - 1: false} {
		if got := ValidStartupLen(n); got != want {
			t.Errorf("ValidStartupLen(%d) = %v", n, got)
		}
	}
}

func TestLastParameterOfANameCounts(t *testing.T) {
	s, err := ParseStartup(packet(v30, "user\x00a\x00USER\x00c\x00user\x00b\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Param("user"); got != "b" || !ok {
		t.Errorf("user is %q, %v; want b", got, ok)
	}
	if got, ok := s.Param("database"); ok {
		t.Errorf("database is %q although none was given", got)
	}
}

func TestStartupKeepsCopies(t *testing.T) {
	body := packet(80877102, "\x00\x00\x00\x07abcd")
	s, err := ParseStartup(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if string(s.Secret) != "abcd" {
		t.Errorf("secret changed with the packet's buffer: %q", s.Secret)
	}
}

func TestOptionsAreSplitAsPostgreSQLDoes(t *testing.T) {
	for options, want := range map[string][]Param{
		"":                                      nil,
		"  \t\n ":                               nil,
		"-c a=b":                                {{"a", "b"}},
		"-ca=b":                                 {{"a", "b"}},
		"--a=b":                                 {{"a", "b"}},
		"  -c  a=b\t--c=d\n":                    {{"a", "b"}, {"c", "d"}},
		"--statement-timeout=5s":                {{"statement_timeout", "5s"}},
		"-c statement-timeout=5s":               {{"statement_timeout", "5s"}},
		"--a=b-c":                               {{"a", "b-c"}},
		"--a=b=c":                               {{"a", "b=c"}},
		"--a=":                                  {{"a", ""}},
		`-c search_path=my\ schema,\ public`:    {{"search_path", "my schema, public"}},
		`-c a=back\\slash`:                      {{"a", `back\slash`}},
		`-c a=b\`:                               {{"a", "b"}},
		`-c a=\bc`:                              {{"a", "bc"}},
		"-c\\\n=b":                              {{"\n", "b"}},
		"--a=b --":                              {{"a", "b"}},
		"-c geqo=off -c geqo=on":                {{"geqo", "off"}, {"geqo", "on"}},
		"--x.tenant=4":                          {{"x.tenant", "4"}},
		"-c " + strings.Repeat("n", 5000) + "=": {{strings.Repeat("n", 5000), ""}},
	} {
		got, err := SplitOptions(options)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("SplitOptions(%q) = %q, %v; want %q", options, got, err, want)
		}
	}
}

func TestOptionsThatAreNoSettings(t *testing.T) {
	for options, want := range map[string]string{
		"-c":            `invalid startup parameter "options": -c requires an argument`,
		"-c a":          `invalid startup parameter "options": "a" requires a value`,
		"--a":           `invalid startup parameter "options": "a" requires a value`,
		"-e":            `invalid startup parameter "options": "-e" is not a setting`,
		"-S 64":         `invalid startup parameter "options": "-S" is not a setting`,
		"a=b":           `invalid startup parameter "options": "a=b" is not a setting`,
		"-- -c a=b":     `invalid startup parameter "options": "--" is not a setting`,
		"-c a=b public": `invalid startup parameter "options": "public" is not a setting`,
		"-c a='x y'":    `invalid startup parameter "options": "y'" is not a setting`, // quotes mean nothing here
		"-":             `invalid startup parameter "options": "-" is not a setting`,
	} {
		got, err := SplitOptions(options)
		var e *pgerror.Error
		if !errors.As(err, &e) {
			t.Errorf("SplitOptions(%q) = %q, %v", options, got, err)
			continue
		}
		if e.Message != want || e.Code != pgerror.CodeSyntaxError {
			t.Errorf("SplitOptions(%q): %s %q, want %q", options, e.Code, e.Message, want)
		}
	}
}

func FuzzParseStartup(f *testing.F) {
	f.Add(packet(v30, "user\x00app\x00database\x00shop\x00\x00"))
	f.Add(packet(v30|2, "_pq_.x\x001\x00user\x00a\x00\x00"))
	f.Add(packet(v30, "user\x00app"))
	f.Add(packet(v30, "\x00\x00"))
	f.Add(packet(80877102, "\x00\x00\x00\x07abcd"))
	f.Add(packet(80877103, ""))
	f.Add(packet(2<<16, "shop"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := ParseStartup(body)
		if err != nil {
			var e *pgerror.Error
			if !errors.Is(err, ErrNotStartup) && !errors.As(err, &e) {
				t.Fatalf("error of neither kind: %v", err)
			}
			return
		}
		if s.Kind != StartupLogin || s.Major != 3 || len(s.Options) > 0 {
			return
		}
		// What was accepted says the same when it is written again.
		again := packet(v30|uint32(s.Minor), "")
		for _, p := range s.Params {
			again = appendCString(appendCString(again, p.Name), p.Value)
		}
		if again = append(again, 0); !bytes.Equal(again, body) {
			t.Fatalf("read %q from %q", s.Params, body)
		}
	})
}

func FuzzSplitOptions(f *testing.F) {
	for _, s := range []string{"-c a=b --c-d=e -cf=g", `-c a=b\ c\\`, "--", "-c", `\`, "-c \\\t=", "--a=b --"} {
		f.Add(s)
	}
	escape := strings.NewReplacer(`\`, `\\`, " ", `\ `, "\t", "\\\t", "\n", "\\\n", "\v", "\\\v", "\f", "\\\f", "\r", "\\\r")
	f.Fuzz(func(t *testing.T, s string) {
		params, err := SplitOptions(s)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, p := range params {
			if strings.ContainsAny(p.Name, "-=") {
				t.Fatalf("name %q out of %q", p.Name, s)
			}
			again.WriteString(" -c " + escape.Replace(p.Name+"="+p.Value))
		}
		back, err := SplitOptions(again.String())
		if err != nil || !reflect.DeepEqual(back, params) {
			t.Fatalf("%q gave %q, which written again as %q gives %q, %v", s, params, again.String(), back, err)
		}
	})
}
