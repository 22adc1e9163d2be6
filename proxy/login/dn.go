package login

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// errName is a subject that PostgreSQL cannot print either. A client that shows one has no name.
var errName = errors.New("the certificate's subject cannot be printed")

// attribute is one part of a distinguished name (X.501, AttributeTypeAndValue).
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// relativeName is a set of attributes; mostly it holds one. asn1 reads a type as a SET if its name ends so.
type relativeNameSET []attribute

// distinguishedName prints a subject as PostgreSQL does: RFC 2253, the last attribute first, as OpenSSL writes it with
// XN_FLAG_RFC2253 (be_tls_open_server in PostgreSQL's src/backend/libpq/be-secure-openssl.c). Lines of pg_ident.conf are compared
// with that text. pkix.Name.String differs from it: it gathers the values of one attribute and writes letters beyond ASCII as
// they are.
//
//	CN=app,OU=b,OU=a,O=M\C3\BCller
func distinguishedName(subject []byte) (string, error) {
	var parts []relativeNameSET
	if rest, err := asn1.Unmarshal(subject, &parts); err != nil || len(rest) > 0 {
		return "", errName
	}
	var b strings.Builder
	for _, part := range slices.Backward(parts) {
		for i, a := range slices.Backward(part) {
			switch {
			case i < len(part)-1:
				b.WriteByte('+')
			case b.Len() > 0:
				b.WriteByte(',')
			}
			if err := a.print(&b); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

func (a *attribute) print(b *strings.Builder) error {
	name, known := attributeNames[a.Type.String()]
	if !known {
		name = a.Type.String()
	}
	b.WriteString(name)
	b.WriteByte('=')
	text, isText, err := textOf(a.Value)
	switch {
	case err != nil:
		return err
	case !known || !isText: // its DER stands for it
		b.WriteByte('#')
		b.WriteString(strings.ToUpper(hex.EncodeToString(a.Value.FullBytes)))
	default:
		escape(b, text)
	}
	return nil
}

// Tags of texts that encoding/asn1 does not name.
const (
	tagISO64String     = 26
	tagUniversalString = 28
)

// textOf returns a value as UTF-8. False: it is no text.
func textOf(v asn1.RawValue) (text string, ok bool, err error) {
	if v.Class != asn1.ClassUniversal {
		return "", false, nil
	}
	switch v.Tag {
	case asn1.TagUTF8String:
		if !utf8.Valid(v.Bytes) {
			return "", false, errName
		}
		return string(v.Bytes), true, nil
	case asn1.TagNumericString, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, asn1.TagUTCTime,
		asn1.TagGeneralizedTime, tagISO64String: // a byte is a character of Latin-1
		runes := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			runes[i] = rune(c)
		}
		return string(runes), true, nil
	case asn1.TagBMPString:
		return wide(v.Bytes, 2)
	case tagUniversalString:
		return wide(v.Bytes, 4)
	}
	return "", false, nil
}

// wide reads characters of so many bytes each.
func wide(b []byte, width int) (text string, ok bool, err error) {
	if len(b)%width != 0 {
		return "", false, errName
	}
	var t strings.Builder
	for ; len(b) > 0; b = b[width:] {
		c := uint32(0)
		for _, octet := range b[:width] {
			c = c<<8 | uint32(octet)
		}
		if c > utf8.MaxRune || utf16.IsSurrogate(rune(c)) {
			return "", false, errName
		}
		t.WriteRune(rune(c))
	}
	return t.String(), true, nil
}

// escape writes a value (RFC 2253, section 2.4). OpenSSL looks at the last character's place after the first one's: a "#" that is
// all of a value stays as it is.
func escape(b *strings.Builder, text string) {
	for i := 0; i < len(text); i++ {
		c, last := text[i], i == len(text)-1
		switch {
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(b, `\%02X`, c)
			continue
		case strings.IndexByte(`,+"\<>;`, c) >= 0, c == ' ' && (i == 0 || last), c == '#' && i == 0 && !last:
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
}
