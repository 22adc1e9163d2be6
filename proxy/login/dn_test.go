package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// value is an attribute's, with the tag of its text.
type value struct {
	oid  string
	tag  int
	text string
}

// subjectOf makes a subject: a slice for each relative name.
func subjectOf(t testing.TB, parts ...[]value) []byte {
	t.Helper()
	var names []relativeNameSET
	for _, part := range parts {
		var name relativeNameSET
		for _, v := range part {
			var oid asn1.ObjectIdentifier
			for _, arc := range strings.Split(v.oid, ".") {
				n, _ := new(big.Int).SetString(arc, 10)
				oid = append(oid, int(n.Int64()))
			}
			der, err := asn1.Marshal(asn1.RawValue{Tag: v.tag, Bytes: []byte(v.text)})
			if err != nil {
				t.Fatal(err)
			}
			name = append(name, attribute{oid, asn1.RawValue{FullBytes: der}})
		}
		names = append(names, name)
	}
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

const (
	oidCN    = "2.5.4.3"
	oidO     = "2.5.4.10"
	oidOU    = "2.5.4.11"
	utf8Text = asn1.TagUTF8String
)

// subjects are names, and how PostgreSQL, by way of OpenSSL, writes them.
var subjects = []struct {
	want  string
	parts [][]value
}{
	{"CN=app", [][]value{{{oidCN, utf8Text, "app"}}}},
	{"CN=app,OU=b,OU=a,O=Example", [][]value{{{oidO, utf8Text, "Example"}}, {{oidOU, utf8Text, "a"}}, {{oidOU, utf8Text, "b"}}, {{oidCN, utf8Text, "app"}}}},
	{"CN=app+OU=b,O=Example", [][]value{{{oidO, utf8Text, "Example"}}, {{oidCN, utf8Text, "app"}, {oidOU, utf8Text, "b"}}}},
	{`O=M\C3\BCller`, [][]value{{{oidO, utf8Text, "Müller"}}}},
	{`O=M\C3\BCller`, [][]value{{{oidO, asn1.TagT61String, "M\xfcller"}}}},
	{`O=M\C3\BC`, [][]value{{{oidO, asn1.TagBMPString, "\x00M\x00\xfc"}}}},
	{`CN=\F0\9F\98\80`, [][]value{{{oidCN, tagUniversalString, "\x00\x01\xf6\x00"}}}},
	{`CN=a\,b\+c\"d\\e\<f\>g\;h=i/j#k l`, [][]value{{{oidCN, utf8Text, `a,b+c"d\e<f>g;h=i/j#k l`}}}},
	{`CN=\ a\ `, [][]value{{{oidCN, utf8Text, " a "}}}},
	{`CN=\ `, [][]value{{{oidCN, utf8Text, " "}}}},
	{`CN=\ \ `, [][]value{{{oidCN, utf8Text, "  "}}}},
	{`CN=\#1`, [][]value{{{oidCN, utf8Text, "#1"}}}},
	{`CN=#`, [][]value{{{oidCN, utf8Text, "#"}}}},
	{`CN=a\00b\0A\7F`, [][]value{{{oidCN, utf8Text, "a\x00b\n\x7f"}}}},
	{`CN=`, [][]value{{{oidCN, utf8Text, ""}}}},
	{"emailAddress=app@example.org,DC=org,UID=7", [][]value{
		{{"0.9.2342.19200300.100.1.1", utf8Text, "7"}},
		{{"0.9.2342.19200300.100.1.25", asn1.TagIA5String, "org"}},
		{{"1.2.840.113549.1.9.1", asn1.TagIA5String, "app@example.org"}},
	}},
	{"street=s,postalCode=1,serialNumber=2,GN=g,SN=s,title=t,ST=x,L=l,C=DE", [][]value{
		{{"2.5.4.6", asn1.TagPrintableString, "DE"}},
		{{"2.5.4.7", utf8Text, "l"}},
		{{"2.5.4.8", utf8Text, "x"}},
		{{"2.5.4.12", utf8Text, "t"}},
		{{"2.5.4.4", utf8Text, "s"}},
		{{"2.5.4.42", utf8Text, "g"}},
		{{"2.5.4.5", asn1.TagPrintableString, "2"}},
		{{"2.5.4.17", utf8Text, "1"}},
		{{"2.5.4.9", utf8Text, "s"}},
	}},
	{"1.2.3.4=#0C0161,CN=app", [][]value{{{oidCN, utf8Text, "app"}}, {{"1.2.3.4", utf8Text, "a"}}}},
	{"x500UniqueIdentifier=#030200FF", [][]value{{{"2.5.4.45", asn1.TagBitString, "\x00\xff"}}}},
	{"", nil},
}

func TestDistinguishedNamesAreWrittenAsByPostgres(t *testing.T) {
	for _, c := range subjects {
		if got, err := distinguishedName(subjectOf(t, c.parts...)); got != c.want || err != nil {
			t.Errorf("%s, %v; want %s", got, err, c.want)
		}
	}
	for name, der := range map[string][]byte{
		"no sequence": {0x31, 0}, "cut": subjectOf(t, subjects[0].parts...)[:9], "bytes behind it": append(subjectOf(t), 0),
		"no UTF-8": subjectOf(t, []value{{oidCN, utf8Text, "\xff"}}), "half a character": subjectOf(t, []value{{oidCN, asn1.TagBMPString, "\x00"}}),
	} {
		if got, err := distinguishedName(der); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestDistinguishedNamesAreOpenSSLs has the library that PostgreSQL asks as the oracle for the table above.
func TestDistinguishedNamesAreOpenSSLs(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl in PATH")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range subjects {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), RawSubject: subjectOf(t, c.parts...)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253")
		cmd.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		out, err := cmd.Output()
		got := strings.TrimPrefix(strings.TrimSuffix(string(out), "\n"), "subject=")
		if err != nil || got != c.want {
			t.Errorf("openssl: %s, %v; weir writes %s", got, err, c.want)
		}
	}
}

func FuzzDistinguishedName(f *testing.F) {
	for _, c := range subjects {
		f.Add(subjectOf(f, c.parts...))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		name, err := distinguishedName(der)
		if err != nil && name != "" || len(name) > 8*len(der)+8 && len(der) > 64 {
			t.Errorf("%d bytes become %q, %v", len(der), name, err)
		}
		for i := range len(name) {
			if name[i] < ' ' || name[i] > '~' {
				t.Fatalf("%q is not printable ASCII", name)
			}
		}
	})
}
