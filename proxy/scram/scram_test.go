package scram

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
)

// The exchange of RFC 7677, section 3, without its user: PostgreSQL's clients send none.
const (
	rfcClientNonce = "rOprNGfwEbeRWgbNEkqO"
	rfcServerFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	pencilVerifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

func verifierOf(t *testing.T, text string) Verifier {
	t.Helper()
	v, ok := ParseVerifier(text)
	if !ok {
		t.Fatalf("%q is no verifier", text)
	}
	return v
}

func TestPostgresVerifierIsDerivedFromItsPassword(t *testing.T) {
	stored := verifierOf(t, pencilVerifier)
	v, keys := Derive("pencil", stored.Salt, stored.Iterations)
	if v.StoredKey != stored.StoredKey || v.ServerKey != stored.ServerKey {
		t.Error("the same password and salt give another verifier than PostgreSQL's")
	}
	if other, _ := Derive("pencil2", stored.Salt, stored.Iterations); other.StoredKey == v.StoredKey {
		t.Error("another password gives the same verifier")
	}
	if !keys.fits(stored.Salt, stored.Iterations) {
		t.Error("the keys do not fit the verifier that they come from")
	}
}

// server answers an exchange as PostgreSQL does, out of a verifier.
type server struct {
	v           Verifier
	nonce       string
	bare, first string
}

func (s *server) start(clientFirst, gs2 string) string {
	s.bare = strings.TrimPrefix(clientFirst, gs2)
	s.first = "r=" + strings.TrimPrefix(s.bare, "n=,r=") + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(s.v.Salt) + ",i=" + strconv.Itoa(s.v.Iterations)
	return s.first
}

// finish returns the keys that the client's proof gave away, and the last message.
func (s *server) finish(clientFinal string) (Keys, string, error) {
	withoutProof, proof64, _ := strings.Cut(clientFinal, ",p=")
	proof, err := base64.StdEncoding.DecodeString(proof64)
	if err != nil || len(proof) != KeyLen {
		return Keys{}, "", fmt.Errorf("proof %q: %v", proof64, err)
	}
	auth := s.bare + "," + s.first + "," + withoutProof
	keys, ok := s.v.Check([KeyLen]byte(proof), auth)
	if !ok {
		return Keys{}, "", errors.New("the proof does not fit")
	}
	return keys, "v=" + base64.StdEncoding.EncodeToString(s.v.Signature(auth)), nil
}

// run goes through an exchange.
func run(x *Exchange, s *server, gs2 string) (Keys, error) {
	final, err := x.Final(s.start(x.First(), gs2))
	if err != nil {
		return Keys{}, err
	}
	keys, last, err := s.finish(final)
	if err != nil {
		return Keys{}, err
	}
	return keys, x.Verify(last)
}

// TestKeysFromAProofLogIn is the way of a pass-through: the first exchange is a client's, who knows the password; the keys that
// its proof gives away carry the second.
func TestKeysFromAProofLogIn(t *testing.T) {
	v, owner := Derive("it's secret", []byte("sixteen bytes of"), 4096)
	learned, err := run(NewExchange([]Keys{owner}, "abc", nil), &server{v: v, nonce: "def"}, "n,,")
	if err != nil || !learned.IsSet() {
		t.Fatal(err)
	}
	if !learned.Equal(owner) {
		t.Error("the proof gives other keys away than the client has")
	}
	if _, err := run(NewExchange([]Keys{learned}, "ghi", nil), &server{v: v, nonce: "jkl"}, "n,,"); err != nil {
		t.Errorf("the keys from a proof do not log in: %v", err)
	}
}

// Of several keys those are used that fit the server's salt: a user may have another password on each of several servers, and
// two while one is changed.
func TestKeyThatFitsTheSaltIsChosen(t *testing.T) {
	var known []Keys
	var verifiers []Verifier
	for i := range 3 {
		v, k := Derive(fmt.Sprint("password", i), fmt.Appendf(nil, "salt %d", i), 4096)
		known, verifiers = append(known, k), append(verifiers, v)
	}
	for i, v := range verifiers {
		if _, err := run(NewExchange(known, "abc", nil), &server{v: v, nonce: "def"}, "n,,"); err != nil {
			t.Errorf("verifier %d: %v", i, err)
		}
	}
	// The same password, salted anew, and the same salt with another cost.
	for _, v := range []Verifier{
		func() Verifier { v, _ := Derive("password0", []byte("new salt"), 4096); return v }(),
		func() Verifier { v, _ := Derive("password0", []byte("salt 0"), 4097); return v }(),
	} {
		if _, err := run(NewExchange(known, "abc", nil), &server{v: v, nonce: "def"}, "n,,"); !errors.Is(err, ErrNoKey) {
			t.Errorf("error %v, want ErrNoKey", err)
		}
	}
	if _, err := NewExchange(nil, "abc", nil).Final("r=abcd,s=AAAA,i=1"); !errors.Is(err, ErrNoKey) {
		t.Errorf("without any keys: %v", err)
	}
}

func TestBindingIsProved(t *testing.T) {
	v, k := Derive("x", []byte("salt"), 4096)
	x := NewExchange([]Keys{k}, "abc", []byte("hash of the certificate"))
	if x.Mechanism() != MechanismPlus || NewExchange(nil, "", nil).Mechanism() != Mechanism {
		t.Error("the mechanism is not that of the binding")
	}
	s := &server{v: v, nonce: "def"}
	const gs2 = "p=tls-server-end-point,,"
	final, err := x.Final(s.start(x.First(), gs2))
	if err != nil {
		t.Fatal(err)
	}
	want := "c=" + base64.StdEncoding.EncodeToString([]byte(gs2+"hash of the certificate")) + ",r=abcdef,p="
	if !strings.HasPrefix(final, want) {
		t.Errorf("%q does not begin with %q", final, want)
	}
	_, last, err := s.finish(final)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Verify(last); err != nil {
		t.Error(err)
	}
}

// A certificate's hash is the one of its signature; where that is not defined there is none, as in libpq and pgx.
func TestBindingIsTheHashOfTheSignature(t *testing.T) {
	raw := []byte("certificate")
	for algorithm, want := range map[x509.SignatureAlgorithm]int{
		x509.MD5WithRSA: 32, x509.SHA1WithRSA: 32, x509.ECDSAWithSHA256: 32, x509.SHA384WithRSA: 48, x509.ECDSAWithSHA512: 64, x509.PureEd25519: 0,
		x509.UnknownSignatureAlgorithm: 0,
	} {
		if got := len(Binding(&x509.Certificate{Raw: raw, SignatureAlgorithm: algorithm})); got != want {
			t.Errorf("%v: %d bytes, want %d", algorithm, got, want)
		}
	}
	sum := sha256.Sum256(raw)
	if got := Binding(&x509.Certificate{Raw: raw, SignatureAlgorithm: x509.ECDSAWithSHA1}); !bytes.Equal(got, sum[:]) {
		t.Errorf("got %x", got)
	}
}

func TestServersMessagesAreChecked(t *testing.T) {
	stored := verifierOf(t, pencilVerifier)
	_, k := Derive("pencil", stored.Salt, stored.Iterations)
	for _, first := range []string{
		"", "r=", "r=abc", "r=abcd,s=,i=1", "r=abcd,s=!,i=1", "r=abcd,s=AAAA", "r=abcd,s=AAAA,i=0", "r=abcd,s=AAAA,i=-1", "r=abcd,s=AAAA,i=x",
		"r=abcd,i=1,s=AAAA", "m=x,r=abcd,s=AAAA,i=1", "e=other-error",
		"r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",   // no nonce of its own
		"r=xabcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", // not ours
	} {
		if final, err := NewExchange([]Keys{k}, "abc", nil).Final(first); err == nil || errors.Is(err, ErrNoKey) || final != "" {
			t.Errorf("%q was answered with %q, %v", first, final, err)
		}
	}
	x := NewExchange([]Keys{k}, rfcClientNonce, nil)
	if err := x.Verify("v=" + base64.StdEncoding.EncodeToString(make([]byte, KeyLen))); err == nil {
		t.Error("a signature before the proof was taken")
	}
	if _, err := x.Final(rfcServerFirst); err != nil {
		t.Fatal(err)
	}
	for _, last := range []string{"", "v=", "v=!", "v=" + base64.StdEncoding.EncodeToString(make([]byte, KeyLen)), "e=invalid-proof", "x=y"} {
		if err := x.Verify(last); err == nil {
			t.Errorf("%q was taken for the server's signature", last)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	v, k := Derive("x", []byte("salt"), 1)
	type holder struct {
		Public Keys
		hidden Keys
	}
	h := holder{k, k}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keys", k, "holder", h)
	text, _ := json.Marshal(h)
	all := fmt.Sprintf("%v %+v %#v %s %q %x %d %v", h, h, h, k, k, k, k, &h) + log.String() + string(text)
	for _, secret := range [][]byte{k.k.clientKey[:], v.ServerKey[:]} {
		for _, form := range []string{string(secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%d", secret[:4]), base64.StdEncoding.EncodeToString(secret)} {
			if strings.Contains(all, strings.Trim(form, "[]")) {
				t.Errorf("a key shows: %q", all)
			}
		}
	}
	if !strings.Contains(fmt.Sprint(k), "***") || fmt.Sprint(Keys{}) != "" {
		t.Errorf("%v and %v", k, Keys{})
	}
}

func TestKeysAreCompared(t *testing.T) {
	_, a := Derive("x", []byte("salt"), 2)
	_, b := Derive("x", []byte("salt"), 2)
	_, c := Derive("x", []byte("salt"), 3)
	_, d := Derive("y", []byte("salt"), 2)
	if !a.Equal(b) || a.Equal(c) || a.Equal(d) || a.Equal(Keys{}) || !(Keys{}).Equal(Keys{}) {
		t.Error("keys are equal that are not, or the reverse")
	}
}

// FuzzServerFirst feeds what a server could say; an answer must repeat its nonce and prove something.
func FuzzServerFirst(f *testing.F) {
	v, ok := ParseVerifier(pencilVerifier)
	if !ok {
		f.Fatal("no verifier")
	}
	_, k := Derive("pencil", v.Salt, v.Iterations)
	for _, s := range []string{rfcServerFirst, rfcServerFirst + ",x=1", "r=abc,s=AAAA,i=1", "e=x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		final, err := NewExchange([]Keys{k}, rfcClientNonce, nil).Final(s)
		if err != nil {
			return
		}
		if !strings.HasPrefix(final, "c=biws,r="+rfcClientNonce) || !strings.Contains(final, ",p=") {
			t.Fatalf("%q was answered with %q", s, final)
		}
	})
}

// FuzzVerifier: what is read as a verifier has all of its parts.
func FuzzVerifier(f *testing.F) {
	for _, s := range []string{pencilVerifier, "SCRAM-SHA-256$", "SCRAM-SHA-256$1:AAAA$AAAA:AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := ParseVerifier(s)
		if ok && (v.Iterations < 1 || len(v.Salt) == 0 || !strings.HasPrefix(s, Mechanism)) {
			t.Fatalf("%q gave %+v", s, v)
		}
	})
}
