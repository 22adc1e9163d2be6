package login

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"weir/config"
	"weir/internal/testca"
	"weir/proxy/scram"
	"weir/proxy/wire"
)

// TestAuthorityReplacedDuringALoginCountsFromTheNextOneOn has the file of the authorities replaced between the client's certificate and
// its proof.
func TestAuthorityReplacedDuringALoginCountsFromTheNextOneOn(t *testing.T) {
	dir, _ := tlsFolder(t)
	clients, _ := tlsClients(t, dir, clientTLS("allow", "ca_file = \"ca.crt\""))
	opt := withRules(t, "hostssl all all all scram-sha-256 clientcert=verify-full", "", users(map[string]string{"app": rightPassword}))
	opt.TLS = clients
	l := &tlsListener{listener: listen(t, opt), dir: dir}
	pair, err := tls.LoadX509KeyPair(l.file("app.crt"), l.file("app.key"))
	if err != nil {
		t.Fatal(err)
	}
	logIn := func(seen func(string, []byte)) string {
		end, _ := scramPeer{seen: seen}.run(t, l.dialTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}), "app", rightPassword)
		return end
	}
	replace := func(string, []byte) {
		before := clients.Config()
		testca.New("others").Write(dir, "ca")
		for deadline := time.Now().Add(time.Minute); clients.Config() == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the new file is not noticed")
			}
		}
	}
	if got := logIn(replace); got != "R 12; R ok" {
		t.Errorf("the login that was under way: %s", got)
	}
	if o := l.outcome(); o.f != nil {
		t.Errorf("%v", o.f)
	}
	// The next one's certificate is of no authority any more, so the client does not show it.
	nc := l.dialTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}})
	send(t, nc, startup)
	if kind, body := readMessage(t, nc); transcript([]byte(message(kind, string(body)))) != "E FATAL 28000 connection requires a valid client certificate" {
		t.Errorf("the next login: %c %q", kind, body)
	}
	if o := l.outcome(); o.f == nil || o.f.Reason != WrongIdentity {
		t.Errorf("%v", o.f)
	}
}

// TestClientNameOfARuleWinsOverCertName: the certificate's CN is app, its alternative names are app.example.org and an address.
func TestClientNameOfARuleWinsOverCertName(t *testing.T) {
	for _, c := range []struct {
		certName, option string
		in               string // the only user that gets in
	}{
		{"cn", "", "app"},
		{"cn", "clientname=CN", "app"},
		{"cn", "clientname=DN", "CN=app"},
		{"san", "", "app.example.org"},
		{"san", "clientname=CN", "app"},
		{"san", "clientname=DN", "CN=app"},
		{"dn", "", "CN=app"},
		{"dn", "clientname=CN", "app"},
	} {
		opt := withRules(t, "hostssl all all all cert "+c.option, "", nil)
		l := listenTLS(t, opt, "[auth]\ncert_name = \""+c.certName+"\"\n"+clientTLS("allow", "ca_file = \"ca.crt\""))
		for _, user := range []string{"app", "CN=app", "app.example.org"} {
			got := l.connect("sslmode=require&sslcert=" + l.file("app.crt") + "&sslkey=" + l.file("app.key") + "&user=" + strings.ReplaceAll(user, "=", "%3D"))
			if (got == "secret") != (user == c.in) {
				t.Errorf("cert_name %s, %s: %s: %s", c.certName, c.option, user, got)
			}
		}
	}
}

// TestOverflowUserIsNobodysAccount: where not every account is mapped into weir's user namespace, those that are not look like one.
func TestOverflowUserIsNobodysAccount(t *testing.T) {
	const whole, mapped = "         0          0 4294967295\n", "         0       1000          1\n"
	for _, c := range []struct {
		name, uidMap, overflow string
		uid                    uint32
		want                   bool
	}{
		{"no namespace", whole, "65534\n", 65534, true},
		{"a namespace", mapped, "65534\n", 65534, false},
		{"a namespace, another account", mapped, "65534\n", 0, true},
		{"a namespace with nobody", mapped + "65534 65534 1\n", "65534\n", 65534, false},
		{"another overflow ID", mapped, "4000\n", 4000, false},
		{"another overflow ID, nobody", mapped, "4000\n", 65534, true},
		{"nearly all", "0 0 65536\n", "65534\n", 65534, false},
		{"all, shifted", "0 100000 4294967295\n", "65534\n", 65534, false},
		{"empty map", "\n", "65534\n", 65534, false},
		{"no /proc", "", "", 65534, runtime.GOOS != "linux"},
		{"no /proc, another account", "", "", 1000, true},
	} {
		read := func(name string) (string, error) {
			text := map[string]string{uidMapFile: c.uidMap, overflowUIDFile: c.overflow}[name]
			if text == "" {
				return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return text, nil
		}
		if got := nameable(c.uid, read); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if text, err := readSmall(os.DevNull); text != "" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := readSmall(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there")
	}
}

func FuzzUIDMap(f *testing.F) {
	f.Add("         0          0 4294967295\n")
	f.Fuzz(func(t *testing.T, text string) {
		if mapsAll(text) && strings.Join(strings.Fields(text), " ") != "0 0 4294967295" && !strings.Contains(text, "4294967295") {
			t.Errorf("%q", text)
		}
	})
}

// TestNamesAreCutBeforeRulesSeeThem: the server takes a longer name for the one of 63 bytes, so weir must, too.
func TestNamesAreCutBeforeRulesSeeThem(t *testing.T) {
	u, d := strings.Repeat("u", 63), strings.Repeat("d", 63)
	opt := withRules(t, "host all "+u+" all reject\nhost "+d+" all all reject\nhost all all all trust", "", nil)
	alias := strings.Repeat("a", 200)
	var admitted [2]string
	opt.Admit = nil
	opt.NamesDatabase = func(database string) bool { return database == alias }
	l := listen(t, opt)
	for _, c := range []struct{ user, database, want string }{
		{u[:62], d[:62], u[:62] + " " + d[:62]},
		{u, "shop", ""},
		{u + "x", "shop", ""},
		{u + strings.Repeat("x", 500), "shop", ""},
		{"app", d, ""},
		{"app", d + "x", ""},
		{"app", strings.Repeat("é", 40), "app " + strings.Repeat("é", 31)},
		{strings.Repeat("é", 40), "", strings.Repeat("é", 31) + " " + strings.Repeat("é", 31)},
		{"app", alias, "app " + alias},
		{"app", alias + "x", "app " + alias[:63]},
	} {
		send(t, dial(t, l), first(v30, "user\x00"+c.user+"\x00database\x00"+c.database+"\x00\x00"))
		got := ""
		if o := l.outcome(); o.f == nil {
			admitted = [2]string{o.res.User, o.res.Database}
			got = strings.Join(admitted[:], " ")
		}
		if got != c.want {
			t.Errorf("%.70s, %.70s: %q, want %q", c.user, c.database, got, c.want)
		}
	}
}

// firstQuestions are what a stranger sees of a name before any proof.
func firstQuestions(t *testing.T, l *listener, user string) string {
	t.Helper()
	nc := dial(t, l)
	send(t, nc, first(v30, "user\x00"+user+"\x00database\x00shop\x00\x00"))
	kind, body := readMessage(t, nc)
	if kind != 'R' || body[3] != 10 {
		_ = nc.Close()
		l.outcome()
		return fmt.Sprintf("%c %d", kind, body[3])
	}
	send(t, nc, initial(scram.Mechanism, "n,,n=,r=abc"))
	_, body = readMessage(t, nc)
	_ = nc.Close()
	l.outcome()
	_, rest, _ := strings.Cut(string(body[4:]), ",")
	return "SCRAM " + rest
}

// lengths takes the salt out of it, but for its length.
func lengths(question string) string {
	salt, iterations, ok := strings.Cut(strings.TrimPrefix(question, "SCRAM s="), ",")
	if !ok {
		return question
	}
	b, _ := base64.StdEncoding.DecodeString(salt)
	return fmt.Sprintf("SCRAM %d bytes, %s", len(b), iterations)
}

// TestNameThatNobodyHasIsAskedAsOneThatExists: with one kind of users the first questions of a name that nobody has are theirs, in each
// method; a restart changes nothing.
func TestNameThatNobodyHasIsAskedAsOneThatExists(t *testing.T) {
	long := "SCRAM-SHA-256$20000:" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("salt", 20))) + pencilSCRAM[strings.LastIndex(pencilSCRAM, "$"):]
	for name, stored := range map[string]string{"clear": rightPassword, "md5": md5Hash(rightPassword, "real"), "verifier": pencilSCRAM, "another verifier": long} {
		weirs := []*Verifiers{usualVerifiers([]byte("secret"), config.NewSecret(stored)), usualVerifiers([]byte("secret"), config.NewSecret(stored))}
		for _, method := range []Method{MethodSCRAM, MethodMD5, MethodPassword} {
			seen := map[string]string{}
			for _, v := range weirs {
				l := listen(t, Options{Method: method, Verifiers: v, Lookup: users(map[string]string{"real": stored})})
				real, nobody := firstQuestions(t, l, "real"), firstQuestions(t, l, "nobody")
				if lengths(real) != lengths(nobody) {
					t.Errorf("%v, %s: %s, and for a name that nobody has %s", method, name, real, nobody)
				}
				if strings.HasPrefix(nobody, "SCRAM") && (nobody == real || nobody == firstQuestions(t, l, "nobody else")) {
					t.Errorf("%v, %s: one salt for two names: %s", method, name, nobody)
				}
				for user, question := range map[string]string{"real": real, "nobody": nobody} {
					if seen[user] != "" && seen[user] != question {
						t.Errorf("%v, %s: %s is asked %s by one weir and %s by another", method, name, user, seen[user], question)
					}
					seen[user] = question
				}
			}
		}
	}
}

// TestNamesThatNobodyHasAreAsMixedAsThoseThatExist: of users of several kinds each is as frequent among the feigned ones, and a user more
// changes few of them.
func TestNamesThatNobodyHasAreAsMixedAsThoseThatExist(t *testing.T) {
	const names = 4000
	verifier, hash := config.NewSecret(pencilSCRAM), config.NewSecret(md5Hash("x", "y"))
	other := config.NewSecret(strings.Replace(pencilSCRAM, "4096", "8192", 1))
	draw := func(known ...config.Secret) (shapes []shape, count map[shape]int) {
		f := newFeigner([]byte("secret"), 4096, known)
		f.prepare(atOnce)
		count = map[shape]int{}
		for i := range names {
			s := f.shape(fmt.Sprint("user", i))
			shapes = append(shapes, s)
			count[s]++
		}
		return shapes, count
	}
	before, count := draw(verifier, verifier, verifier, verifier, hash, hash, other, other)
	for s, share := range map[shape]int{usualShape(4096): 2, {md5: true, iterations: 4096, saltLen: 16}: 4, {iterations: 8192, saltLen: 16}: 4} {
		if n, want := count[s], names/share; n < want*8/10 || n > want*12/10 {
			t.Errorf("%+v: %d of %d names, want about %d", s, n, names, want)
		}
	}
	after, _ := draw(verifier, verifier, verifier, verifier, hash, hash, other, other, other)
	changed := 0
	for i := range before {
		if before[i] != after[i] {
			changed++
		}
	}
	if changed == 0 || changed > names/5 {
		t.Errorf("%d of %d names look different with a user more", changed, names)
	}
	if f := newFeigner(nil, 600, nil); f.shape("x") != usualShape(600) {
		t.Errorf("without users: %+v", f.shape("x"))
	}
}

// TestVerifierOfManyIterationsTakesNoTime: a password in clear text is not compared with one that takes minutes; SCRAM leaves the work to
// the client.
func TestVerifierOfManyIterationsTakesNoTime(t *testing.T) {
	endless := strings.Replace(pencilSCRAM, "4096", "2000000000", 1)
	v := usualVerifiers(nil, config.NewSecret(endless))
	l := listen(t, Options{Method: MethodPassword, Verifiers: v, Lookup: users(map[string]string{"app": endless}), Timeout: 30 * time.Second})
	for _, user := range []string{"app", "nobody"} {
		if got := converse(t, l.addr, []string{first(v30, "user\x00"+user+"\x00\x00") + message('p', rightPassword+"\x00")}); !strings.Contains(got, "E FATAL 28P01") {
			t.Errorf("%s: %s", user, got)
		}
		if o := l.outcome(); user == "app" && !strings.Contains(o.f.Error(), "2000000000 iterations") {
			t.Errorf("the log does not say why: %v", o.f)
		}
	}
	l = listen(t, Options{Verifiers: v, Lookup: users(map[string]string{"app": endless})})
	if got := firstQuestions(t, l, "app"); !strings.HasSuffix(got, ",i=2000000000") {
		t.Error(got)
	}
}

// TestSecondStartupPacketIsRefusedAtEveryPointOfALogin: wherever a client may speak, a startup packet, or a request that only may come
// first, ends the login. It cannot change who the client says it is.
func TestSecondStartupPacketIsRefusedAtEveryPointOfALogin(t *testing.T) {
	again := map[string]string{
		"startup": first(v30, "user\x00boss\x00database\x00shop\x00\x00"), "SSLRequest": first(sslCode, ""), "GSSENCRequest": first(gssencCode, ""),
		"CancelRequest": first(cancelCode, "\x00\x00\x00\x01abcd"),
	}
	points := map[string]struct {
		method Method
		until  func(nc net.Conn)
	}{
		"password":  {MethodPassword, func(nc net.Conn) {}},
		"md5":       {MethodMD5, func(nc net.Conn) {}},
		"mechanism": {MethodSCRAM, func(nc net.Conn) {}},
		"client-first": {MethodSCRAM, func(nc net.Conn) {
			send(t, nc, message('p', scram.Mechanism+"\x00\xff\xff\xff\xff"))
			readMessage(t, nc)
		}},
		"client-final": {MethodSCRAM, func(nc net.Conn) {
			send(t, nc, initial(scram.Mechanism, "n,,n=,r=abc"))
			readMessage(t, nc)
		}},
	}
	for point, p := range points {
		l := listen(t, Options{Method: p.method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": rightPassword, "boss": rightPassword})})
		for name, packet := range again {
			nc := dial(t, l)
			send(t, nc, first(v30, "user\x00app\x00database\x00shop\x00\x00"))
			readMessage(t, nc)
			p.until(nc)
			send(t, nc, packet)
			kind, body := readMessage(t, nc)
			if got := transcript([]byte(message(kind, string(body)))); !strings.HasPrefix(got, "E FATAL 08P01 expected") {
				t.Errorf("%s in place of %s: %s", name, point, got)
			}
			if o := l.outcome(); o.f == nil || o.f.Reason != Malformed || o.f.User != "app" {
				t.Errorf("%s in place of %s: %v", name, point, o.f)
			}
		}
	}
	// Behind a request that was declined there is one startup packet, and what follows it is an answer.
	l := listen(t, Options{Method: MethodTrust})
	for _, request := range []uint32{sslCode, gssencCode} {
		nc := dial(t, l)
		send(t, nc, first(request, ""))
		if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		send(t, nc, first(v30, "user\x00app\x00\x00")+again["startup"])
		if o := l.outcome(); o.f != nil || o.res.User != "app" {
			t.Errorf("%+v, %v", o.res, o.f)
		}
	}
}

func FuzzStored(f *testing.F) {
	for _, s := range []string{"", rightPassword, pencilSCRAM, md5Hash("x", "y"), "SCRAM-SHA-256$2147483647:YQ==$", "md5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := parseStored(text)
		if (s.form == formNone) != (text == "") || s.form == formSCRAM && (s.verifier.Iterations < 1 || len(s.verifier.Salt) == 0) {
			t.Errorf("%q: %+v", text, s)
		}
		if name := wire.CutName(text); len(name) > wire.NameMax {
			t.Errorf("%q", name)
		}
	})
}
