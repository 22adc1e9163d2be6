package login

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"weir/config/hba"
	"weir/internal/pgserver"
	"weir/proxy/scram"
)

// texts are files in memory.
type texts map[string]string

func (f texts) ReadFile(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (texts) ReadDir(string) ([]string, error) { return nil, fs.ErrNotExist }

// withRules are options under these rules and maps.
func withRules(t *testing.T, rules, ident string, lookup Lookup) Options {
	t.Helper()
	files := texts{"pg_hba.conf": rules, "pg_ident.conf": ident}
	maps, problems := hba.ParseMaps("pg_ident.conf", files)
	if problems != nil {
		t.Fatal(problems)
	}
	read, problems := hba.Parse("pg_hba.conf", files, maps)
	if problems != nil {
		t.Fatal(problems)
	}
	return Options{Method: MethodHBA, Rules: read, Maps: maps, Verifiers: usualVerifiers(nil), Lookup: lookup}
}

// TestRulesDecideByWhichMethodClientsComeIn goes through the methods with each driver: the right password is let in where one is
// asked for, a wrong one is not, and the rule that decided is known.
func TestRulesDecideByWhichMethodClientsComeIn(t *testing.T) {
	needPsql(t)
	const rules = `
host shop,x trusted  127.0.0.1/32 trust
host shop   rejected 127.0.0.1/32 reject
host all    clear    127.0.0.1/32 password
host all    hashed   127.0.0.1/32 md5
host all    scram    samehost     scram-sha-256
hostssl all secure   all          trust
host shop   elsewhere 192.0.2.0/24 trust
local all   all                   trust
`
	lookup := users(map[string]string{
		"trusted": rightPassword, "rejected": rightPassword, "clear": pencilSCRAM, "hashed": md5Hash(rightPassword, "hashed"), "scram": pencilSCRAM,
		"secure": rightPassword, "elsewhere": rightPassword,
	})
	l := listen(t, withRules(t, rules, "", lookup))
	for _, c := range []struct {
		user   string
		right  bool // the right password lets it in
		wrong  bool // a wrong one does
		line   int  // of the rule; 0: none
		reason Reason
	}{
		{"trusted", true, true, 2, 0},
		{"rejected", false, false, 3, NotAllowed},
		{"clear", true, false, 4, WrongPassword},
		{"hashed", true, false, 5, WrongPassword},
		{"scram", true, false, 6, WrongPassword},
		{"secure", false, false, 0, NotAllowed},
		{"elsewhere", false, false, 0, NotAllowed},
	} {
		for _, d := range drivers {
			for password, want := range map[string]bool{rightPassword: c.right, "wrong": c.wrong} {
				got := d.connect(t, l, c.user, password)
				o := l.outcome()
				if (got == "") != want {
					t.Errorf("%s, %s with password %q: %q", d.name, c.user, password, got)
				}
				rule := o.res.Rule
				if o.f != nil {
					rule = o.f.Rule
					if o.f.Reason != c.reason {
						t.Errorf("%s, %s: reason %v, want %v", d.name, c.user, o.f.Reason, c.reason)
					}
				}
				line := 0
				if rule != nil {
					line = rule.Line
				}
				if line != c.line {
					t.Errorf("%s, %s: line %d decided, want %d", d.name, c.user, line, c.line)
				}
			}
		}
	}
}

// TestRefusalsReadAsPostgres says what PostgreSQL itself says where no line fits: here, from an address that its file has none
// for.
func TestRefusalsReadAsPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	say := func(addr string) string {
		nc, err := from.Dial("tcp", addr)
		if err != nil {
			t.Skipf("no connections from 127.0.0.2 on this system: %v", err)
		}
		defer nc.Close()
		send(t, nc, startup)
		kind, body := readMessage(t, nc)
		return transcript([]byte(message(kind, string(body))))
	}
	l := listen(t, withRules(t, "host all all 127.0.0.1/32 trust\nhost all postgres 127.0.0.3/32 reject", "", nil))
	weir, postgres := say(l.addr), say(pgserver.ForTest(t).Server.Addr())
	const want = `E FATAL 28000 no pg_hba.conf entry for host "127.0.0.2", user "postgres", database "postgres", no encryption`
	if weir != postgres || weir != want {
		t.Errorf("weir says\n%s, PostgreSQL\n%s, want\n%s", weir, postgres, want)
	}
	from.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}
	if got, want := say(l.addr), `E FATAL 28000 pg_hba.conf rejects connection for host "127.0.0.3", user "postgres", database "postgres", no encryption`; got != want {
		t.Errorf("a rejected client is told\n%s, want\n%s", got, want)
	}
}

// listenUnix listens as PostgreSQL would in dir.
func listenUnix(t *testing.T, opt Options) (l *listener, dir string) {
	t.Helper()
	dir = t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.6432"))
	if err != nil {
		t.Fatal(err)
	}
	return listenAt(t, ln, opt), dir
}

// TestPeerIsWhoTheKernelSays has psql come over the unix socket as this process's own account.
func TestPeerIsWhoTheKernelSays(t *testing.T) {
	needPsql(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	ident := fmt.Sprintf("m %s app\nm nobody boss\nre /^(.)%s$ \\1\n", me.Username, me.Username[1:])
	for _, c := range []struct {
		rule, user string
		in         bool
	}{
		{"local all all peer", me.Username, true},
		{"local all all peer", "app", false},
		{"local all all peer map=m", "app", true},
		{"local all all peer map=m", "boss", false},
		{"local all all peer map=m", me.Username, false},
		{"local all all peer map=re", me.Username[:1], true},
		{"host all all all trust", "app", false},
	} {
		t.Run(c.rule+" as "+c.user, func(t *testing.T) {
			l, dir := listenUnix(t, withRules(t, c.rule, ident, users(nil)))
			cmd := exec.Command("psql", "-X", "-w", "-h", dir, "-p", "6432", "-d", "shop", "-U", c.user, "-c", "select")
			cmd.Env = append(os.Environ(), "PGCLIENTENCODING=UTF8", "LC_ALL=C.UTF-8")
			out, err := cmd.CombinedOutput()
			o := l.outcome()
			if (err == nil) != c.in {
				t.Errorf("%s", out)
			}
			switch {
			case c.in:
			case strings.HasPrefix(c.rule, "host"):
				if !strings.Contains(string(out), `no pg_hba.conf entry for host "[local]"`) || o.f.Reason != NotAllowed {
					t.Errorf("%v: %s", o.f, out)
				}
			default:
				want := `FATAL:  peer authentication failed for user "` + c.user + `"`
				if !strings.Contains(string(out), want) || o.f.Reason != WrongIdentity || !strings.Contains(o.f.Why, "the other end is "+me.Username) {
					t.Errorf("%v: %s", o.f, out)
				}
			}
		})
	}
}

func TestPeerWorksOnUnixSocketsOnly(t *testing.T) {
	l := listen(t, Options{Method: MethodPeer})
	if got := connectPgconn(t, l, "root", ""); got != "28000" {
		t.Errorf("over TCP: %q", got)
	}
	if o := l.outcome(); o.f == nil || o.f.Reason != WrongIdentity {
		t.Errorf("%v", o.f)
	}
}

// TestRulesDemandCertificates: cert, clientcert and clientname, with and without maps, for a certificate with CN app.
func TestRulesDemandCertificates(t *testing.T) {
	const (
		without  = "sslmode=require&user="
		showing  = "sslmode=require&sslcert=DIR/app.crt&sslkey=DIR/app.key&user="
		noCert   = "28000 connection requires a valid client certificate"
		mismatch = "28000 certificate authentication failed for user"
	)
	ident := "m app boss\nm /^(.*)@example.org$ \\1\ndn CN=app boss\n"
	for _, c := range []struct {
		rule, client, want string
	}{
		{"hostssl all all all cert", showing + "app", "secret"},
		{"hostssl all all all cert", showing + "boss", mismatch},
		{"hostssl all all all cert", without + "app", noCert},
		{"hostssl all all all cert", "sslmode=disable&user=app", "28000 no pg_hba.conf entry"},
		{"hostssl all all all cert map=m", showing + "boss", "secret"},
		{"hostssl all all all cert map=m", showing + "app", mismatch},
		{"hostssl all all all cert clientname=DN map=dn", showing + "boss", "secret"},
		{"hostssl all all all cert clientname=DN", showing + "app", mismatch},
		{"hostssl all all all cert clientname=DN", showing + "CN%3Dapp", "secret"},
		{"hostssl all all all trust clientcert=verify-ca", showing + "boss", "secret"},
		{"hostssl all all all trust clientcert=verify-ca", without + "app", noCert},
		{"hostssl all all all trust clientcert=verify-full", showing + "boss", mismatch},
		{"hostssl all all all trust clientcert=verify-full", showing + "app", "secret"},
		{"hostssl all all all scram-sha-256 clientcert=verify-full", showing + "app&password=" + rightPassword, "secret"},
		{"hostssl all all all scram-sha-256 clientcert=verify-full", showing + "app&password=wrong", "28P01"},
		{"hostssl all all all scram-sha-256 clientcert=verify-full", showing + "boss&password=" + rightPassword, mismatch},
		{"hostnossl all all all trust", showing + "app", "28000 no pg_hba.conf entry"},
	} {
		opt := withRules(t, c.rule, ident, users(map[string]string{"app": pencilSCRAM, "boss": pencilSCRAM}))
		l := listenTLS(t, opt, clientTLS("allow", "ca_file = \"ca.crt\""))
		if got := l.connect(strings.ReplaceAll(c.client, "DIR", l.dir)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s, %s: %q, want %q", c.rule, c.client, got, c.want)
		}
	}
}

// TestMethodCertIsTheRuleCert: [auth] type = "cert".
func TestMethodCertIsTheRuleCert(t *testing.T) {
	l := listenTLS(t, Options{Method: MethodCert}, clientTLS("allow", "ca_file = \"ca.crt\""))
	for client, want := range map[string]string{
		"sslmode=require&sslcert=DIR/app.crt&sslkey=DIR/app.key":           "secret",
		"sslmode=require&sslcert=DIR/app.crt&sslkey=DIR/app.key&user=boss": "28000 certificate authentication failed",
		"sslmode=require": "28000 connection requires a valid client certificate",
		"sslmode=disable": "28000 connection requires a valid client certificate",
	} {
		if got := l.connect(strings.ReplaceAll(client, "DIR", l.dir)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", client, got, want)
		}
	}
}

// TestProofGivesKeysAway: what weir may log in with afterwards is what a client has proved to know, and no more.
func TestProofGivesKeysAway(t *testing.T) {
	v, ok := scram.ParseVerifier(pencilSCRAM)
	if !ok {
		t.Fatal("no verifier")
	}
	_, want := scram.Derive(rightPassword, v.Salt, v.Iterations)
	for _, c := range []struct {
		method Method
		stored string
		keys   bool
	}{
		{MethodSCRAM, pencilSCRAM, true},
		{MethodMD5, pencilSCRAM, true},
		{MethodPassword, pencilSCRAM, true},
		{MethodSCRAM, rightPassword, false}, // keys of a verifier that weir has made up fit no server
		{MethodMD5, md5Hash(rightPassword, "app"), false},
		{MethodPassword, md5Hash(rightPassword, "app"), false},
		{MethodTrust, pencilSCRAM, false},
	} {
		l := listen(t, Options{Method: c.method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": c.stored})})
		if got := connectPgconn(t, l, "app", rightPassword); got != "" {
			t.Errorf("%v from %.10s: %s", c.method, c.stored, got)
		}
		res := l.outcome().res
		if res.Keys.IsSet() != c.keys || c.keys && !res.Keys.Equal(want) {
			t.Errorf("%v from %.10s: keys %v", c.method, c.stored, res.Keys.IsSet())
		}
		if proved := c.method != MethodTrust; res.Account.Known != proved || proved && res.Account.Stored.Reveal() != c.stored {
			t.Errorf("%v from %.10s: account %v", c.method, c.stored, res.Account.Known)
		}
		if got := connectPgconn(t, l, "app", "wrong"); c.method != MethodTrust && got != "28P01" {
			t.Errorf("%v from %.10s, wrong password: %s", c.method, c.stored, got)
		}
		if res := l.outcome().res; res.Keys.IsSet() || c.method != MethodTrust && res.Account.Known {
			t.Errorf("%v from %.10s: a wrong password gives something away", c.method, c.stored)
		}
	}
}

// stale is a Lookup whose knowledge is out of date until it is asked again.
type stale struct {
	before, now map[string]string
	again       []bool
}

func (s *stale) lookup(ctx context.Context, c Claim) (Account, error) {
	s.again = append(s.again, c.Again)
	if c.Again {
		s.before = s.now
	}
	return users(s.before)(ctx, c)
}

// TestChangedPasswordIsLookedUpAgain: a password that was changed since is taken at once where the method allows it, and at the
// next attempt with SCRAM, whose challenge had the old salt; and the old one no longer.
func TestChangedPasswordIsLookedUpAgain(t *testing.T) {
	newSCRAM := func() string {
		_, f, _ := strings.Cut(pencilSCRAM, "$")
		return "SCRAM-SHA-256$" + strings.Replace(f, "W22ZaJ0SNY7soEsUEjb6gQ==", "AAAAAAAAAAAAAAAAAAAAAA==", 1) // keys of no password
	}()
	for _, c := range []struct {
		name        string
		method      Method
		before, now string
		password    string
		first, next string // the outcome of two attempts
	}{
		{"clear to clear", MethodPassword, "old", rightPassword, rightPassword, "", ""},
		{"clear to verifier", MethodPassword, "old", pencilSCRAM, rightPassword, "", ""},
		{"unknown to known", MethodPassword, "", rightPassword, rightPassword, "", ""},
		{"the old one", MethodPassword, "old", rightPassword, "wrong", "28P01", "28P01"},
		{"md5 to md5", MethodMD5, md5Hash("old", "app"), md5Hash(rightPassword, "app"), rightPassword, "", ""},
		{"md5 to verifier", MethodMD5, md5Hash("old", "app"), pencilSCRAM, rightPassword, "28P01", ""},
		{"verifier to md5", MethodMD5, newSCRAM, md5Hash(rightPassword, "app"), rightPassword, "28P01", ""},
		{"verifier to verifier", MethodSCRAM, newSCRAM, pencilSCRAM, rightPassword, "28P01", ""},
		{"clear to verifier by SCRAM", MethodSCRAM, "old", pencilSCRAM, rightPassword, "28P01", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := func(text string) map[string]string {
				if text == "" {
					return nil
				}
				return map[string]string{"app": text}
			}
			s := &stale{before: table(c.before), now: table(c.now)}
			l := listen(t, Options{Method: c.method, Verifiers: usualVerifiers(nil), Lookup: s.lookup})
			for i, want := range []string{c.first, c.next} {
				if got := connectPgconn(t, l, "app", c.password); got != want {
					t.Errorf("attempt %d: %q, want %q", i+1, got, want)
				}
				l.outcome()
			}
		})
	}
}

// TestVerifierIsNoPassword: who has read a verifier, or a hash, gets in with neither by any method.
func TestVerifierIsNoPassword(t *testing.T) {
	for _, method := range []Method{MethodSCRAM, MethodMD5, MethodPassword} {
		for name, stored := range storedForms("app") {
			if name == "clear" {
				continue
			}
			// Before, the user had another form, so the method asks in whatever way it likes.
			for _, before := range []string{"", "old", md5Hash("old", "app"), stored} {
				s := &stale{before: map[string]string{"app": before}, now: map[string]string{"app": stored}}
				l := listen(t, Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: s.lookup})
				if got := connectPgconn(t, l, "app", stored); got != "28P01" {
					t.Errorf("%v, before %.6s, with the %s form as the password: %q", method, before, name, got)
				}
				l.outcome()
			}
		}
	}
}

// TestFailureIsLookedUpOnceMoreForAll: that a user does not exist must not show in how often it is looked up.
func TestFailureIsLookedUpOnceMoreForAll(t *testing.T) {
	for _, method := range []Method{MethodSCRAM, MethodMD5, MethodPassword} {
		for _, user := range []string{"app", "blank", "nobody"} {
			s := &stale{now: map[string]string{"app": rightPassword, "blank": ""}}
			s.before = s.now
			l := listen(t, Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: s.lookup})
			if got := connectPgconn(t, l, user, "wrong"); got != "28P01" {
				t.Errorf("%v as %s: %q", method, user, got)
			}
			l.outcome()
			if fmt.Sprint(s.again) != "[false true]" {
				t.Errorf("%v as %s: looked up %v", method, user, s.again)
			}
		}
	}
}

var errNoAnswer = errors.New("the directory does not answer")

func TestFailedLookupIsNoWrongPassword(t *testing.T) {
	for _, method := range []Method{MethodSCRAM, MethodMD5, MethodPassword} {
		l := listen(t, Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: func(context.Context, Claim) (Account, error) {
			return Account{}, errNoAnswer
		}})
		if got := connectPgconn(t, l, "app", rightPassword); got != "57P03" {
			t.Errorf("%v: %q", method, got)
		}
		if f := l.outcome().f; f.Reason != LookupFailed || !errors.Is(f, errNoAnswer) {
			t.Errorf("%v: %v", method, f)
		}
	}
}

// A lookup that fails behind a wrong proof changes nothing: the answer is the one to a wrong password.
func TestSecondLookupMayFail(t *testing.T) {
	table := users(map[string]string{"app": rightPassword})
	l := listen(t, Options{Verifiers: usualVerifiers(nil), Lookup: func(ctx context.Context, c Claim) (Account, error) {
		if c.Again {
			return Account{}, errNoAnswer
		}
		return table(ctx, c)
	}})
	for _, user := range []string{"app", "nobody"} {
		if got := connectPgconn(t, l, user, "wrong"); got != "28P01" {
			t.Errorf("%s: %q", user, got)
		}
		l.outcome()
	}
}
