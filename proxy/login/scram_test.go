package login

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/proxy/scram"
	"weir/proxy/wire"
)

// TestVectorOfRFC7677 has the exchange of its section 3. RFC 5802's own vector is for SHA-1.
func TestVectorOfRFC7677(t *testing.T) {
	const (
		clientFirstMessage = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
		serverFirst        = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
		clientFinalMessage = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
		serverSignature    = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	)
	first, err := parseClientFirst(clientFirstMessage, binding{})
	if err != nil {
		t.Fatal(err)
	}
	final, err := parseClientFinal(clientFinalMessage, first.gs2Header, binding{})
	if err != nil {
		t.Fatal(err)
	}
	if first.nonce != "rOprNGfwEbeRWgbNEkqO" || final.nonce != "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" {
		t.Errorf("nonces %q and %q", first.nonce, final.nonce)
	}
	salt, decodeErr := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if decodeErr != nil {
		t.Fatal(decodeErr)
	}
	v, _ := scram.Derive("pencil", salt, 4096)
	if stored, ok := scram.ParseVerifier(pencilSCRAM); !ok || stored.StoredKey != v.StoredKey || stored.ServerKey != v.ServerKey {
		t.Error("PostgreSQL's verifier of the same password and salt is another")
	}
	auth := first.bare + "," + serverFirst + "," + final.withoutProof
	if _, ok := v.Check(final.proof, auth); !ok {
		t.Error("the proof was refused")
	}
	if got := base64.StdEncoding.EncodeToString(v.Signature(auth)); got != serverSignature {
		t.Errorf("server signature %s, want %s", got, serverSignature)
	}
	final.proof[31] ^= 1
	if _, ok := v.Check(final.proof, auth); ok {
		t.Error("a proof with one bit changed was taken")
	}
}

func atOnce(f func()) { f() }

// scramPeer is a client by hand: it can do what no driver does.
type scramPeer struct {
	mechanism   string                                // SCRAM-SHA-256 by default
	gs2         string                                // "n,," by default
	binding     []byte                                // behind the header in the last message
	late        bool                                  // client-first on an empty challenge only
	extension   string                                // behind the nonces
	change      func(withoutProof, p string) string   // makes the last message; nil is the right one
	behindFinal string                                // sent with the last message
	seen        func(serverFirst string, salt []byte) // what the server said
}

// run goes through the exchange as user with password and returns the transcript of what came behind the client's last
// message, up to AuthenticationOk or an error. Lengths of all messages go to lens.
func (p scramPeer) run(t *testing.T, nc net.Conn, user, password string) (end string, lens []int) {
	t.Helper()
	receive := func() (kind byte, body []byte) {
		kind, body = readMessage(t, nc)
		lens = append(lens, len(body))
		return kind, body
	}
	mechanism := p.mechanism
	if mechanism == "" {
		mechanism = scram.Mechanism
	}
	gs2 := p.gs2
	if gs2 == "" {
		gs2 = "n,,"
	}
	send(t, nc, first(v30, "user\x00"+user+"\x00database\x00shop\x00\x00"))
	receive()
	bare := "n=ignored,r=abcdefgh" + p.extension
	if p.late {
		send(t, nc, message('p', mechanism+"\x00\xff\xff\xff\xff"))
		receive()
		send(t, nc, message('p', gs2+bare))
	} else {
		send(t, nc, initial(mechanism, gs2+bare))
	}
	kind, body := receive()
	if kind == 'E' {
		return transcript([]byte(message(kind, string(body)))), lens
	}
	serverFirst := string(body[4:])
	var nonce, salt64, iterations string
	if n, err := fmt.Sscanf(strings.NewReplacer(",s=", " ", ",i=", " ").Replace(serverFirst), "r=%s %s %s", &nonce, &salt64, &iterations); n != 3 {
		t.Fatalf("server-first-message %q: %v", serverFirst, err)
	}
	salt, err := base64.StdEncoding.DecodeString(salt64)
	if err != nil {
		t.Fatal(err)
	}
	if p.seen != nil {
		p.seen(serverFirst, salt)
	}
	n, err := strconv.Atoi(iterations)
	if err != nil {
		t.Fatal(err)
	}
	withoutProof := "c=" + base64.StdEncoding.EncodeToString(append([]byte(gs2), p.binding...)) + ",r=" + nonce + p.extension
	proof := prove(password, salt, n, bare+","+serverFirst+","+withoutProof)
	final := withoutProof + ",p=" + proof
	if p.change != nil {
		final = p.change(withoutProof, proof)
	}
	send(t, nc, message('p', final)+p.behindFinal)
	var said []string
	for {
		kind, body := receive()
		whole := message(kind, string(body))
		if kind == 'E' || kind == 'R' && body[3] == 0 {
			return strings.Join(append(said, transcript([]byte(whole))), "; "), lens
		}
		said = append(said, fmt.Sprintf("R %d", body[3]))
	}
}

// prove computes a ClientProof.
func prove(password string, salt []byte, iterations int, auth string) string {
	// The steps of scram.Derive are repeated here, by other means, on the client's side.
	salted := pbkdf2Key(password, salt, iterations)
	key := scram.MAC(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := make([]byte, len(key))
	subtle.XORBytes(proof, key, scram.MAC(stored[:], auth))
	return base64.StdEncoding.EncodeToString(proof)
}

// pbkdf2Key is PBKDF2 with one block of HMAC-SHA-256, the Hi() of RFC 5802, section 2.2.
func pbkdf2Key(password string, salt []byte, iterations int) []byte {
	u := scram.MAC([]byte(password), string(salt), "\x00\x00\x00\x01")
	sum := append([]byte(nil), u...)
	for range iterations - 1 {
		u = scram.MAC([]byte(password), string(u))
		subtle.XORBytes(sum, sum, u)
	}
	return sum
}

func send(t *testing.T, nc net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(nc, s); err != nil {
		t.Fatal(err)
	}
}

func readMessage(t *testing.T, nc net.Conn) (kind byte, body []byte) {
	t.Helper()
	var header [wire.HeaderLen]byte
	if _, err := io.ReadFull(nc, header[:]); err != nil {
		t.Fatal(err)
	}
	body = make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	if _, err := io.ReadFull(nc, body); err != nil {
		t.Fatal(err)
	}
	return header[0], body
}

func dial(t *testing.T, l *listener) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return nc
}

func TestSCRAMExchangesByHand(t *testing.T) {
	const malformed = "E FATAL 08P01 malformed SCRAM message"
	l := listen(t, Options{Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": rightPassword})})
	for _, c := range []struct {
		name string
		peer scramPeer
		want string
	}{
		{"as it should be", scramPeer{}, "R 12; R ok"},
		{"flag y: binding was not offered", scramPeer{gs2: "y,,"}, "R 12; R ok"},
		{"client-first on an empty challenge", scramPeer{late: true}, "R 12; R ok"},
		{"unknown extensions are ignored", scramPeer{extension: ",x=1,Y=2"}, "R 12; R ok"},
		{"n answered with the binding of y", scramPeer{change: func(w, p string) string {
			return strings.Replace(w, "biws", "eSws", 1) + ",p=" + p
		}}, malformed},
		{"flag y withdrawn", scramPeer{gs2: "y,,", change: func(w, p string) string {
			return strings.Replace(w, "eSws", "biws", 1) + ",p=" + p
		}}, malformed},
		{"no binding", scramPeer{change: func(w, p string) string { return w[strings.Index(w, "r="):] + ",p=" + p }}, malformed},
		{"another nonce", scramPeer{change: func(w, p string) string { return w + "x,p=" + p }}, malformed},
		{"only the client's nonce", scramPeer{change: func(_, p string) string { return "c=biws,r=abcdefgh,p=" + p }}, malformed},
		{"no nonce at all", scramPeer{change: func(_, p string) string { return "c=biws,p=" + p }}, malformed},
		{"empty nonce", scramPeer{change: func(_, p string) string { return "c=biws,r=,p=" + p }}, malformed},
		{"nothing but the binding", scramPeer{change: func(_, _ string) string { return "c=biws" }}, malformed},
		{"nothing but the nonce's name", scramPeer{change: func(_, _ string) string { return "c=biws,r" }}, malformed},
		{"a proof and nothing else", scramPeer{change: func(_, p string) string { return "p=" + p }}, malformed},
		{"no proof", scramPeer{change: func(w, _ string) string { return w }}, malformed},
		{"empty proof", scramPeer{change: func(w, _ string) string { return w + ",p=" }}, malformed},
		{"short proof", scramPeer{change: func(w, _ string) string { return w + ",p=AAAA" }}, malformed},
		{"proof that is no base64", scramPeer{change: func(w, p string) string { return w + ",p=!" + p[1:] }}, malformed},
		{"a line end in the proof", scramPeer{change: func(w, p string) string { return w + ",p=" + p[:8] + "\r\n" + p[8:] }}, malformed},
		{"a line end behind the proof", scramPeer{change: func(w, p string) string { return w + ",p=" + p + "\n" }}, malformed},
		{"something behind the proof", scramPeer{change: func(w, p string) string { return w + ",p=" + p + ",x=1" }}, malformed},
		{"invalid extension", scramPeer{change: func(w, p string) string { return w + ",=1,p=" + p }}, malformed},
		{"NUL", scramPeer{change: func(w, p string) string { return w + ",x=\x00,p=" + p }}, malformed},
		{"empty message", scramPeer{change: func(_, _ string) string { return "" }}, malformed},
		{
			"proof of another message",
			scramPeer{change: func(w, p string) string { return w + ",x=1,p=" + p }},
			`E FATAL 28P01 password authentication failed for user "app"`,
		},
		{
			"proof of nothing",
			scramPeer{change: func(w, _ string) string { return w + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 32)) }},
			`E FATAL 28P01 password authentication failed for user "app"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := c.peer.run(t, dial(t, l), "app", rightPassword); got != c.want {
				t.Errorf("answered %q, want %q", got, c.want)
			}
			l.outcome()
		})
	}
}

// TestStrangersCannotTellUsersFromNoUsers compares, message by message, what a client with a wrong password sees as a user
// that exists, in each stored form, and as one that does not.
func TestStrangersCannotTellUsersFromNoUsers(t *testing.T) {
	known := storedForms("known")
	for name, text := range known {
		verifiers := usualVerifiers(nil)
		l := listen(t, Options{Verifiers: verifiers, Lookup: users(map[string]string{"known": text, "blank": ""})})
		look := func(user string) (end string, lens []int, salt string) {
			p := scramPeer{seen: func(_ string, s []byte) { salt = string(s) }}
			end, lens = p.run(t, dial(t, l), user, "wrong")
			l.outcome()
			return strings.ReplaceAll(end, user, "USER"), lens, salt
		}
		end, lens, salt := look("known")
		if _, _, again := look("known"); again != salt {
			t.Errorf("%s: a known user's salt changes", name)
		}
		for _, user := range []string{"nobod", "blank"} { // names of one length, so that messages may have one length
			e, l, s := look(user)
			if e != end || fmt.Sprint(l) != fmt.Sprint(lens) {
				t.Errorf("%s: user %s sees %q %v, a known one %q %v", name, user, e, l, end, lens)
			}
			if len(s) != len(salt) || s == salt {
				t.Errorf("%s: salt %x for %s, %x for a known user", name, s, user, salt)
			}
			clear(verifiers.derived) // as if the cache had to make room
			if _, _, again := look(user); again != s {
				t.Errorf("%s: the salt of %s changes", name, user)
			}
		}
		if _, _, again := look("known"); again != salt {
			t.Errorf("%s: a known user's salt changes when its verifier is derived again", name)
		}
	}
}

// TestNobodyIsLetInByAFeignedVerifier guards the one place where a mistake would let anybody in: a proof that fits the feigned
// keys must still fail. The stored key is set to that of a password that is known here.
func TestNobodyIsLetInByAFeignedVerifier(t *testing.T) {
	for form, c := range map[string]credentials{"unknown": {}, "md5": {account: Account{Known: true}, stored: parseStored(md5Hash("x", "app"))}} {
		a := &attempt{user: "app", opt: &Options{Verifiers: usualVerifiers(nil)}}
		if _, usable, _ := a.verifier(c); usable {
			t.Errorf("%s: the verifier counts", form)
		}
	}
}

func TestVerifierIsDerivedOnceAUserAndPassword(t *testing.T) {
	v := usualVerifiers([]byte("secret"))
	a := v.ofClear(atOnce, "app", "one")
	d := v.derived["app"]
	if v.ofClear(atOnce, "app", "one"); v.derived["app"] != d {
		t.Error("derived again for the same password")
	}
	b := v.ofClear(atOnce, "app", "two")
	if a.StoredKey == b.StoredKey {
		t.Error("the old password's verifier is still used after the password was changed")
	}
	if c := v.ofClear(atOnce, "other", "two"); c.StoredKey == b.StoredKey {
		t.Error("two users with one password share a verifier")
	}
	if w := usualVerifiers([]byte("secret")).ofClear(atOnce, "app", "two"); w.StoredKey != b.StoredKey {
		t.Error("two weirs with one secret differ")
	}
}

func TestDerivedVerifiersAreBounded(t *testing.T) {
	v := usualVerifiers(nil)
	for i := range derivedMax {
		v.derived[strconv.Itoa(i)] = &derivation{}
	}
	v.ofClear(atOnce, "one more", "x")
	if n := len(v.derived); n != derivedMax {
		t.Errorf("%d verifiers kept, want %d", n, derivedMax)
	}
	if v.derived["one more"] == nil {
		t.Error("the newest was not kept")
	}
}

func TestStoredFormsAreTold(t *testing.T) {
	for text, want := range map[string]form{
		"":                               formNone,
		"pencil":                         formClear,
		md5Hash("pencil", "app"):         formMD5,
		"md5" + strings.Repeat("g", 32):  formClear,
		"md5" + strings.Repeat("a", 31):  formClear,
		"md5" + strings.Repeat("A", 32):  formClear, // PostgreSQL writes and takes lower case only
		pencilSCRAM:                      formSCRAM,
		pencilSCRAM[1:]:                  formClear,
		"SCRAM-SHA-256$":                 formClear,
		pencilSCRAM[:len(pencilSCRAM)-1]: formClear,
		pencilSCRAM + "AAAA":             formClear,
		strings.Replace(pencilSCRAM, "4096", "0", 1):                    formClear,
		strings.Replace(pencilSCRAM, "4096", "-1", 1):                   formClear,
		strings.Replace(pencilSCRAM, "4096", "4294967296", 1):           formClear,
		strings.Replace(pencilSCRAM, "W22ZaJ0SNY7soEsUEjb6gQ==", "", 1): formClear,
	} {
		if got := parseStored(text).form; got != want {
			t.Errorf("parseStored(%q): form %d, want %d", text, got, want)
		}
	}
}

func FuzzClientFirst(f *testing.F) {
	for _, s := range []string{"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "y,,n=,r=x,a=1", "n,a=b,n=,r=x", "p=x,,n=,r=x", "p=tls-server-end-point,,n=,r=x", "p=tls-server-end-point,n=,r=x", "p", "n,,m=,n=,r=x", "n,,n=,r=x,", ""} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, plus bool) {
		b := binding{inUse: plus}
		if plus {
			b.hash = []byte("hash")
		}
		m, err := parseClientFirst(s, b)
		if err != nil {
			return
		}
		if m.gs2Header+m.bare != s || m.nonce == "" || strings.ContainsAny(m.nonce, ", \x00") || !strings.Contains(s, ",r="+m.nonce) {
			t.Fatalf("%q gave %+v", s, m)
		}
		if strings.HasPrefix(m.gs2Header, "p=") != plus {
			t.Fatalf("%q is taken with binding %t", s, plus)
		}
	})
}

func FuzzClientFinal(f *testing.F) {
	const proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	for _, s := range []string{"c=biws,r=x,p=" + proof, "c=biws,r=x,e=1,p=" + proof, "c=biws,r=,p=,p=" + proof, "c=eSws,r=x,p=" + proof, "c=biws,r=x", "c=biws,p=" + proof} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseClientFinal(s, "n,,", binding{})
		if err != nil {
			return
		}
		if !strings.HasPrefix(s, m.withoutProof+",p=") || !strings.HasPrefix(m.withoutProof, "c=biws,r="+m.nonce) {
			t.Fatalf("%q gave %+v", s, m)
		}
	})
}

func FuzzInitialResponse(f *testing.F) {
	for _, s := range []string{initial("SCRAM-SHA-256", "n,,n=,r=x")[5:], "SCRAM-SHA-256\x00\xff\xff\xff\xff", "x\x00\x00\x00", "\x00\xff\xff\xff\xffx", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		mechanism, data, with, ok := splitInitialResponse(body)
		if !ok {
			return
		}
		want := len(mechanism) + 5 + len(data)
		if want != len(body) || !with && len(data) > 0 {
			t.Fatalf("%q gave %q and %q", body, mechanism, data)
		}
	})
}
