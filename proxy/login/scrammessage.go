package login

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/scram"
)

// clientFirst is a client-first-message (RFC 5802, section 7). The user's name in it is ignored, as in PostgreSQL: that of the
// startup packet counts.
type clientFirst struct {
	gs2Header string // "n,,", "y,," or that of a binding: what the client-final-message must repeat
	bare      string // the rest: part of what is signed
	nonce     string
}

// bindingType is the only one that PostgreSQL knows, and the only one that TLS 1.2 and 1.3 both have.
const bindingType = "tls-server-end-point"

// parseClientFirst reads one. Errors are PostgreSQL's (read_client_first_message).
func parseClientFirst(message string, b binding) (clientFirst, *pgerror.Error) {
	var m clientFirst
	if err := checkText(message); err != nil {
		return m, err
	}
	flagLen, err := checkBindingFlag(message, b)
	if err != nil {
		return m, err
	}
	rest := message[flagLen:]
	if !strings.HasPrefix(rest, ",") {
		return m, pgerror.MalformedSASL("Comma expected after the channel-binding flag.")
	}
	switch {
	case strings.HasPrefix(rest, ",a"):
		return m, pgerror.UnsupportedSASL("authorization identity")
	case !strings.HasPrefix(rest, ",,"):
		return m, pgerror.MalformedSASL("Unexpected attribute in client-first-message.")
	}
	m.gs2Header, m.bare = message[:flagLen+2], message[flagLen+2:]
	if strings.HasPrefix(m.bare, "m") {
		return m, pgerror.UnsupportedSASL("a mandatory SCRAM extension")
	}
	_, rest, err = takeAttribute(m.bare, 'n')
	if err != nil {
		return m, err
	}
	if m.nonce, rest, err = takeAttribute(rest, 'r'); err != nil {
		return m, err
	}
	if m.nonce == "" || strings.IndexFunc(m.nonce, func(r rune) bool { return r < 0x21 || r > 0x7e }) >= 0 {
		return m, pgerror.MalformedSASL("The nonce is empty or has non-printable characters.")
	}
	return m, checkExtensions(rest)
}

// checkBindingFlag holds what the client says about channel binding against what it has chosen and what it was offered. It
// returns the flag's length.
func checkBindingFlag(message string, b binding) (int, *pgerror.Error) {
	switch flag := message[0]; {
	case (flag == 'n' || flag == 'y') && b.inUse:
		return 0, pgerror.MalformedSASL("The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.")
	case flag == 'y' && b.hash != nil:
		return 0, pgerror.ChannelBindingDenied // a machine in between may have taken the offer away
	case flag == 'n', flag == 'y':
		return 1, nil
	case flag != 'p':
		return 0, pgerror.MalformedSASL(fmt.Sprintf("Unexpected channel-binding flag %q.", flag))
	case !b.inUse:
		return 0, pgerror.MalformedSASL("The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.")
	}
	kind, _, err := takeAttribute(message, 'p')
	if err == nil && kind != bindingType {
		err = pgerror.UnsupportedChannelBinding(kind)
	}
	return len("p=") + len(kind), err
}

// clientFinal is a client-final-message.
type clientFinal struct {
	nonce        string
	proof        [sha256.Size]byte
	withoutProof string // the message up to the proof: part of what is signed
}

// parseClientFinal reads one; gs2Header is that of the client-first-message. Errors are PostgreSQL's
// (read_client_final_message).
func parseClientFinal(message, gs2Header string, b binding) (clientFinal, *pgerror.Error) {
	var m clientFinal
	if err := checkText(message); err != nil {
		return m, err
	}
	said, rest, err := takeAttribute(message, 'c')
	if err != nil {
		return m, err
	}
	want := []byte(gs2Header)
	if b.inUse {
		want = append(want, b.hash...)
	}
	switch same := said == base64.StdEncoding.EncodeToString(want); {
	case !same && b.inUse:
		return m, pgerror.ChannelBindingFailed
	case !same:
		return m, pgerror.MalformedSASL("Unexpected channel-binding attribute in client-final-message.")
	}
	if m.nonce, rest, err = takeAttribute(rest, 'r'); err != nil {
		return m, err
	}
	// The proof is the last attribute, and its base64 has no comma.
	i := strings.LastIndex(message, ",p=")
	if i < len(message)-len(rest)-1 {
		return m, pgerror.MalformedSASL(`Attribute "p" expected at the end of client-final-message.`)
	}
	m.withoutProof = message[:i]
	proof, ok := scram.Decode(message[i+3:])
	if !ok || copy(m.proof[:], proof) != len(m.proof) || len(proof) != len(m.proof) {
		return m, pgerror.MalformedSASL("Malformed proof in client-final-message.")
	}
	if between := len(message) - len(rest); between <= i {
		return m, checkExtensions(message[between:i])
	}
	return m, nil
}

// checkText refuses what no SCRAM message is.
func checkText(message string) *pgerror.Error {
	if message == "" {
		return pgerror.MalformedSASL("The message is empty.")
	}
	if strings.IndexByte(message, 0) >= 0 {
		return pgerror.MalformedSASL("Message length does not match input length.")
	}
	return nil
}

// takeAttribute reads name=value at the start of s, up to a comma or the end, and returns what follows the comma.
func takeAttribute(s string, name byte) (value, rest string, err *pgerror.Error) {
	if len(s) < 2 || s[0] != name || s[1] != '=' {
		return "", "", pgerror.MalformedSASL(fmt.Sprintf("Attribute %q expected.", name))
	}
	value, rest, _ = strings.Cut(s[2:], ",")
	return value, rest, nil
}

// checkExtensions takes any number of optional attributes, which are to be ignored where they are not known.
func checkExtensions(s string) *pgerror.Error {
	for s != "" {
		name := s[0] | 0x20
		if name < 'a' || name > 'z' {
			return pgerror.MalformedSASL("Attribute expected, but found an invalid character.")
		}
		var err *pgerror.Error
		if _, s, err = takeAttribute(s, s[0]); err != nil {
			return err
		}
	}
	return nil
}
