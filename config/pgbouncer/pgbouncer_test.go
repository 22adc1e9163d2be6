package pgbouncer

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"weir/config"
)

var update = flag.Bool("update", false, "write testdata anew")

func files(texts map[string]string) ReadFile {
	return func(name string) ([]byte, error) {
		text, ok := texts[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
}

func readText(text string) (*Document, error) {
	return Read("f.ini", files(map[string]string{"f.ini": text}))
}

func translateText(t *testing.T, text string) (*Result, error) {
	t.Helper()
	d, err := readText(text)
	if err != nil {
		t.Fatal(err)
	}
	return Translate(d, "/etc/pgbouncer")
}

// What is written is read by weir's own reader, and means the same.
func TestFileIsTranslated(t *testing.T) {
	d, err := Read("testdata/shop.ini", os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Translate(d, "/etc/pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "# %s\n", n)
	}
	if err := r.Config.WriteFile(&b); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/shop.toml"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	again, err := config.Parse("shop.toml", b.Bytes(), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	_ = again.WriteFile(&second)
	if !strings.HasSuffix(b.String(), second.String()) {
		t.Errorf("read again:\n%s", second.String())
	}
}

func TestLinesAreReadAsPgBouncerReadsThem(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[a]\nk=v", "a|k|v"},
		{"[a]\n  k \t= \t v w  \r\n", "a|k|v w"},
		{"[a]\nk =\nl = 2", "a|k|\na|l|2"},
		{"[a]\n# k=1\n ;k=2\nk = 3 ; no comment # none", "a|k|3 ; no comment # none"},
		{"[a] k = on the same line\n[b]\nx=1", "a|k|on the same line\nb|x|1"},
		{"[a]\n'it''s a name' = 1", "a|it's a name|1"},
		{"[a]\n*=1\n_.-x=2", "a|*|1\na|_.-x|2"},
		{"[a]\nk = [b]", "a|k|[b]"},
		{"\n\n", ""},
	} {
		d, err := readText(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		var got []string
		for _, l := range d.Lines {
			got = append(got, l.Section+"|"+l.Key+"|"+l.Value)
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%q: got %q", c.text, got)
		}
	}
}

func TestWhatIsNoIniIsRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"[a]\nk v":          "f.ini:2: syntax error in configuration, stopping loading",
		"[a\nk=v":           "f.ini:1: syntax error in configuration, stopping loading",
		"[a]\n\n = v":       "f.ini:3: syntax error in configuration, stopping loading",
		"[a]\n'' = v":       "f.ini:2: syntax error in configuration, stopping loading",
		"[a]\n'x\n' = v":    "f.ini:2: syntax error in configuration, stopping loading",
		"k=v":               "f.ini:1: value without section: k",
		"[a]\n%include no":  `f.ini:2: error processing include file in configuration, stopping loading: could not load file "no": file does not exist`,
		"[a]\n%include":     "f.ini:2: syntax error in configuration, stopping loading",
		"\n%include f.ini":  "include nesting level too deep, stopping loading",
		"[a]\nx=1\nk\x00=1": "f.ini:3: a NUL character in configuration, stopping loading",
	} {
		_, err := readText(text)
		if problem, ok := errors.AsType[*Error](err); !ok || !strings.Contains(problem.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// A section goes on into a file that is included, and that file's section goes on after it.
func TestIncludedLinesStandInTheirPlace(t *testing.T) {
	d, err := Read("f.ini", files(map[string]string{"f.ini": "[a]\nk=1\n%include g.ini \nk=4\n", "g.ini": "k=2\n[b]\nk=3"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range d.Lines {
		got = append(got, l.Where()+" "+l.Section+"="+l.Value)
	}
	want := []string{"f.ini:2 a=1", "g.ini:1 a=2", "g.ini:3 b=3", "f.ini:4 b=4"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConnectionStringsAreReadAsPgBouncerReadsThem(t *testing.T) {
	for text, want := range map[string]string{
		"a=1 b=2":           "[{a 1} {b 2}] true",
		"  a = 1   b= 2 ":   "[{a 1} {b 2}] true",
		"a='x y' b='it''s'": "[{a x y} {b it's}] true",
		"a='x'b=2":          "[{a x}] false",
		"a='x'":             "[{a x}] true",
		"":                  "[] true",
		"a":                 "[] false",
		"a=":                "[] false",
		"a='' b=2":          "[] false",
		"a='x":              "[] false",
		"=x":                "[] false",
		"a=b=c":             "[{a b=c}] true",
	} {
		if got, ok := pairs(text); fmt.Sprint(got, ok) != want {
			t.Errorf("%q: got %v %v, want %s", text, got, ok, want)
		}
	}
}

func TestNumbersAreReadAsPgBouncerReadsThem(t *testing.T) {
	for text, want := range map[string]string{
		"10": "10 true", "0x1F": "31 true", "0777": "511 true", "-3": "-3 true", " +4": "4 true",
		"": "0 false", "08": "0 false", "1 ": "0 false", "1k": "0 false", "1_000": "0 false", "0": "0 true", "--1": "0 false",
	} {
		if n, ok := parseInt(text); fmt.Sprint(n, ok) != want && (ok || !strings.HasSuffix(want, "false")) {
			t.Errorf("%q: got %d %v, want %s", text, n, ok, want)
		}
	}
	for text, want := range map[string]int{"10": 10, " -1x": -1, "abc": 0, "5432 ": 5432, "": 0, "+7": 7} {
		if n := leadingInt(text); n != want {
			t.Errorf("%q: got %d, want %d", text, n, want)
		}
	}
	for text, want := range map[string]string{"1.5": "1.5s true", "0": "0s true", "-1": "0s false", "x": "0s false", "": "0s false", "1e3": "16m40s true"} {
		if d, ok := parseSeconds(text); fmt.Sprint(d, ok) != want {
			t.Errorf("%q: got %s %v, want %s", text, d, ok, want)
		}
	}
}

// A word that is none keeps PgBouncer from starting, too, where there is TLS: else a slip of the pen would lower the least version.
func TestVersionsOfTLSAreReadAsPgBouncerReadsThem(t *testing.T) {
	for text, want := range map[string]string{
		"": "TLSv1.2", "secure": "TLSv1.2", "Default": "TLSv1.2", "ALL": "TLSv1.2", "tlsv1": "TLSv1.2", "tlsv1.2, TLSv1.3": "TLSv1.2", "tlsv1.3": "TLSv1.3",
		"all,!tlsv1.0,!tlsv1.1:!tlsv1.2": "TLSv1.3", "!tlsv1.3": "TLSv1.2",
		"tls1.3": "invalid", "legacy": "invalid", "tlsv1.3,": "invalid", "tlsv1.2 tlsv1.3": "invalid", "all,tlsv1.4": "invalid",
	} {
		const pair, shop = "client_tls_cert_file = /c\nclient_tls_key_file = /k\n", "[databases]\nd = host=h\n[pgbouncer]\nauth_type = trust\n"
		for _, side := range []string{"client", "server"} {
			got := ""
			switch r, err := translateText(t, shop+pair+side+"_tls_sslmode = require\n"+side+"_tls_protocols = "+text); {
			case err != nil && strings.Contains(err.Error(), ":8: invalid "+side+"_tls_protocols: "+text):
				got = "invalid"
			case err != nil:
				got = err.Error()
			case side == "client":
				got = r.Config.ClientTLS.MinVersion.String()
			default:
				got = r.Config.ServerTLS.MinVersion.String()
			}
			if got != want {
				t.Errorf("%s_tls_protocols = %q: %s, want %s", side, text, got, want)
			}
		}
		if _, err := translateText(t, shop+"server_tls_sslmode = disable\nserver_tls_protocols = "+text+"\nclient_tls_protocols = "+text); err != nil {
			t.Errorf("%q without TLS: %v", text, err)
		}
	}
}

// Where a name and an address are the same one PgBouncer listens once, with a line in its log.
func TestAddressesAreListenedOnOnce(t *testing.T) {
	for text, want := range map[string]string{
		"*": "[:6432]", "0.0.0.0, ::": "[0.0.0.0:6432 [::]:6432]", "127.0.0.1,::": "[127.0.0.1:6432 [::]:6432]", "127.0.0.1,::1": "[127.0.0.1:6432 [::1]:6432]",
		"127.0.0.1,localhost": "[127.0.0.1:6432]", "[::1],::1": "[[::1]:6432]", "0.0.0.0,10.0.0.1": "[0.0.0.0:6432]",
	} {
		r, err := translateText(t, "[databases]\nd = host=h\n[pgbouncer]\nauth_type = trust\nlisten_addr = "+text)
		if err != nil || r.Unservable != nil {
			t.Errorf("%q: %v, %v", text, err, r)
			continue
		}
		if got := fmt.Sprint(r.Config.Listen.Addresses); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// What a served file says and weir does not do stands in its log.
func TestWhatIsNotHeededIsAWarning(t *testing.T) {
	r, err := translateText(t, "[databases]\nd = host=h\n[pgbouncer]\nauth_type = trust\nserver_tls_ciphers = HIGH\nresolv_conf = /r\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"f.ini:5: server_tls_ciphers: Go has no cipher HIGH, and chooses among those that are safe", "f.ini:6: resolv_conf: " + lacksResolver} {
		if !slices.Contains(r.Served().Warnings(), want) {
			t.Errorf("no warning %q in %q", want, r.Served().Warnings())
		}
	}
}

// PgBouncer looks for what it follows before it looks at the list, so an application_name in the list reaches the server.
func TestWhatPgBouncerFollowsIsNotIgnored(t *testing.T) {
	for text, want := range map[string]string{
		"ignore_startup_parameters = extra_float_digits, options, Application_Name, TimeZone, search_path":   "extra_float_digits,options,search_path",
		"ignore_startup_parameters = search_path, geqo\ntrack_extra_parameters = IntervalStyle, Search_Path": "geqo",
	} {
		r, err := translateText(t, "[databases]\nd = host=h\n[pgbouncer]\nauth_type = trust\n"+text)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*config.Config{r.Config, r.Served()} {
			if got := strings.Join(c.Clients.IgnoreStartupParameters, ","); got != want {
				t.Errorf("%s: ignores %s, want %s", text, got, want)
			}
		}
	}
}

func TestEveryDefaultIsOfItsKind(t *testing.T) {
	for i, s := range settings {
		if _, ok := parse(s.kind, s.words, s.standard); !ok && !s.unset {
			t.Errorf("%s: %q is not of its kind", s.name, s.standard)
		}
		if s.apply != nil && s.lacks != "" {
			t.Errorf("%s: has a meaning and lacks one", s.name)
		}
		if i > 0 && s.name < settings[i-1].name && s.name != "pool_idle_timeout" && s.name != "client_tls_ca_file" && s.name != "server_tls_ca_file" {
			t.Errorf("%s: not in the order of SHOW CONFIG", s.name)
		}
	}
	if len(settings) != 100 {
		t.Errorf("%d settings, PgBouncer has 100", len(settings))
	}
}

func TestWhatPgBouncerWouldNotLoadIsRefused(t *testing.T) {
	const head = "[pgbouncer]\nlisten_addr=*\nauth_type=trust\n"
	for text, want := range map[string]string{
		"[databases]\n": "f.ini: there is no section [pgbouncer]",
		"[databases.shop]\nhost = \"h\"\n[listen]\n": `f.ini:1: this is a weir.toml: "weir serve -c FILE" serves it`,
		head + "[pools]\n":                           `f.ini:4: invalid section "pools" in configuration`,
		head + "routing_rules_py_module_file=x":      "f.ini:4: unknown parameter: pgbouncer/routing_rules_py_module_file\n",
		head + "pool_size=3":                         `f.ini:4: unknown parameter: pgbouncer/pool_size; did you mean "default_pool_size"?`,
		head + "server_idle_timeot=3":                `f.ini:4: unknown parameter: pgbouncer/server_idle_timeot; did you mean "server_idle_timeout"?`,
		head + "max_client_conn=100 ; as before":     `f.ini:4: invalid value "100 ; as before" for parameter max_client_conn in configuration; a comment stands on a line of its own`,
		head + "default_pool_size=many":              `f.ini:4: invalid value "many" for parameter default_pool_size in configuration`,
		head + "pool_mode=tx":                        `f.ini:4: invalid value "tx" for parameter pool_mode in configuration`,
		head + "auth_type=ldap":                      `f.ini:4: auth_type "ldap" is not supported`,
		head + "auth_type=PAM":                       `f.ini:4: auth_type "pam" is not supported`,
		head + "auth_dbname=pgbouncer":               `f.ini:4: cannot use the reserved "pgbouncer" database as an auth_dbname`,
		head + "[databases]\npgbouncer=port=1":       `f.ini:5: database name "pgbouncer" is reserved`,
		head + "[databases]\na=host=h prot=1":        `f.ini:5: unrecognized connection parameter: prot; did you mean "port"?`,
		head + "[databases]\na=host=h sslmode=allow": "f.ini:5: unrecognized connection parameter: sslmode; server_tls_sslmode in [pgbouncer] holds for all databases",
		head + "[databases]\na=host=h port=x":        "f.ini:5: invalid port: x",
		head + "[databases]\na=host=h user=":         "f.ini:5: syntax error in connection string",
		head + "[databases]\na=host=h pool_mode=x":   "f.ini:5: invalid pool mode: x",
		head + "[users]\na=port=1":                   "f.ini:5: unrecognized user parameter: port\n",
		head + "[users]\na=max_user_conections=1":    `f.ini:5: unrecognized user parameter: max_user_conections; did you mean "max_user_connections"?`,
		head + "[peers]\n0=host=h":                   "f.ini:5: ids of peers must be a number",
		head + "[peers]\n65536=host=h":               "f.ini:5: ids of peers must be a number",
		head + "peer_id=16384":                       "f.ini:4: peer_id must be at most 16383",
		head + "[peers]\n1=host=h port=70000":        "f.ini:5: invalid port: 70000",
		head + "[peers]\n1=port=1":                   "f.ini:5: host was not provided for peer 1",
	} {
		if _, err := translateText(t, text); err == nil || !strings.Contains(err.Error()+"\n", want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// Names are proposed for others only if they mean something themselves.
func TestProposedKeysAreKnown(t *testing.T) {
	for section, keys := range map[string][]string{"databases": databaseKeys, "users": userKeys} {
		for _, k := range keys {
			_, err := translateText(t, "[pgbouncer]\nlisten_addr=*\n["+section+"]\na="+map[string]string{"databases": "host=h "}[section]+k+"=1")
			if err != nil && strings.Contains(err.Error(), "unrecognized") {
				t.Errorf("%s: %v", k, err)
			}
		}
	}
}

// What cannot be served here is said with the line of the database, and the rest is translated all the same.
func TestWhatIsUnfitHereIsSaid(t *testing.T) {
	r, err := translateText(t, "[pgbouncer]\nlisten_addr=*\nauth_file=none.txt\n[databases]\na = host=h password=md5"+strings.Repeat("0", 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"f.ini: auth_file cannot be read: open /etc/pgbouncer/none.txt", "f.ini:5: password must be in clear text"} {
		if r.Unfit == nil || !strings.Contains(r.Unfit.Error(), want) {
			t.Errorf("got %v, want %s", r.Unfit, want)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add("[pgbouncer]\nlisten_addr=*\n[databases]\na = host=h password='x''y'\n[users]\nb=\n[peers]\n1=host=h\n%include f.ini")
	f.Add("[pgbouncer]\nunix_socket_mode=0x\nclient_tls_protocols=tlsv1.3\nlisten_addr=[::1],")
	for _, s := range settings {
		f.Add("[pgbouncer]\n" + s.name + "=" + s.standard)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := readText(text)
		if err != nil {
			return
		}
		for _, l := range d.Lines {
			if l.Number < 1 || l.Number > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d", l.Number)
			}
		}
		for i, l := range d.Lines { // no files of this machine
			if strings.HasSuffix(l.Key, "_file") {
				d.Lines[i].Value = ""
			}
		}
		r, err := Translate(d, "/etc/pgbouncer")
		if err != nil || r.Unfit != nil {
			return
		}
		var b bytes.Buffer
		if r.Config.WriteFile(&b) != nil { // not UTF-8
			return
		}
		if _, err := config.Parse("f.toml", b.Bytes(), os.LookupEnv); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, b.String())
		}
	})
}

// docs/moving-from-pgbouncer.md says of each setting without a meaning why it has none.
func TestDocsNameWhatHasNoEquivalent(t *testing.T) {
	text, err := os.ReadFile("../../docs/moving-from-pgbouncer.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if s.apply == nil && !strings.Contains(string(text), "`"+s.name+"`") {
			t.Errorf("%s is not on the page", s.name)
		}
	}
}

// The last of several values holds, in any letter case.
func TestHostsAreBalancedUnlessTheFileSaysOtherwise(t *testing.T) {
	for text, want := range map[string]config.LoadBalance{
		"": config.BalanceRandom, "load_balance_hosts=DISABLE": config.BalanceDisable, "load_balance_hosts=Round-Robin": config.BalanceRandom,
		"load_balance_hosts=disable load_balance_hosts=round-robin": config.BalanceRandom,
	} {
		r, err := translateText(t, "[pgbouncer]\n[databases]\ndb = host=a,b "+text+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Config.Databases["db"].LoadBalance; got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
