package login

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"weir/proxy/pgerror"
)

// clientFirst is a client-first-message (RFC 5802, section 7). The user's name in it is ignored, as in PostgreSQL: that of the
// startup packet counts.
type clientFirst struct {
	gs2Header string // "n,," or "y,,": what the client-final-message must repeat
	bare      string // the rest: part of what is signed
	nonce     string
}

// parseClientFirst reads one. Errors are PostgreSQL's (read_client_first_message).
func parseClientFirst(message string) (clientFirst, *pgerror.Error) {
	var m clientFirst
	if err := checkText(message); err != nil {
		return m, err
	}
	switch message[0] {
	case 'n': // the client does not do channel binding
	case 'y': // it would, but thinks that we do not: right
	case 'p':
		return m, pgerror.MalformedSASL("The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.")
	default:
		return m, pgerror.MalformedSASL(fmt.Sprintf("Unexpected channel-binding flag %q.", message[0]))
	}
	rest := message[1:]
	if !strings.HasPrefix(rest, ",") {
		return m, pgerror.MalformedSASL("Comma expected behind the channel-binding flag.")
	}
	switch {
	case strings.HasPrefix(rest, ",a"):
		return m, pgerror.UnsupportedSASL("authorization identity")
	case !strings.HasPrefix(rest, ",,"):
		return m, pgerror.MalformedSASL("Unexpected attribute in client-first-message.")
	}
	m.gs2Header, m.bare = message[:3], message[3:]
	if strings.HasPrefix(m.bare, "m") {
		return m, pgerror.UnsupportedSASL("a mandatory SCRAM extension")
	}
	_, rest, err := takeAttribute(m.bare, 'n')
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

// clientFinal is a client-final-message.
type clientFinal struct {
	nonce        string
	proof        [sha256.Size]byte
	withoutProof string // the message up to the proof: part of what is signed
}

// parseClientFinal reads one; gs2Header is that of the client-first-message. Errors are PostgreSQL's
// (read_client_final_message).
func parseClientFinal(message, gs2Header string) (clientFinal, *pgerror.Error) {
	var m clientFinal
	if err := checkText(message); err != nil {
		return m, err
	}
	binding, rest, err := takeAttribute(message, 'c')
	if err != nil {
		return m, err
	}
	if binding != base64.StdEncoding.EncodeToString([]byte(gs2Header)) {
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
	proof, decodeErr := base64.StdEncoding.DecodeString(message[i+3:])
	if decodeErr != nil || copy(m.proof[:], proof) != len(m.proof) || len(proof) != len(m.proof) {
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
