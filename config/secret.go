package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// Secret is a password or what is stored in place of one. However it is printed, in whatever struct, it shows as
// ***; only Reveal gives it away. The zero Secret is not set.
type Secret struct {
	// A pointer, because package fmt does not call methods of unexported fields: a struct that holds a Secret in
	// one then prints an address and not the text.
	text *string
}

const mask = "***"

// NewSecret returns text as a Secret. Empty text is the Secret that is not set.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text itself, for use in an exchange with a client or a server, never for printing.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet tells whether there is a text.
func (s Secret) IsSet() bool { return s.text != nil }

// String is *** if it is set, and empty if not.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return mask
}

// Format prints String for every verb, so that %x and %#v do not give it away either.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText keeps it out of JSON and TOML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps it out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// PasswordForm says what a Secret holds.
type PasswordForm uint8

const (
	// FormNone is a Secret that is not set.
	FormNone PasswordForm = iota
	// FormClear is a password in clear text.
	FormClear
	// FormSCRAM is a verifier as in pg_authid: SCRAM-SHA-256$iterations:salt$storedkey:serverkey.
	FormSCRAM
	// FormMD5 is a hash as in pg_authid: md5 and 32 hexadecimal digits.
	FormMD5
)

func (f PasswordForm) String() string {
	return nameOf([]string{"no password", "a clear password", "a SCRAM verifier", "an md5 hash"}, int(f))
}

const scramPrefix = "SCRAM-SHA-256$"

// Form tells by the same rules as PostgreSQL's get_password_type (src/backend/libpq/crypt.c), except that a text
// which begins like a verifier and is none is refused when the file is read, where PostgreSQL would take it for a
// password in clear text.
func (s Secret) Form() PasswordForm {
	text := s.Reveal()
	switch {
	case text == "":
		return FormNone
	case strings.HasPrefix(text, scramPrefix):
		return FormSCRAM
	case isMD5(text):
		return FormMD5
	}
	return FormClear
}

func isMD5(text string) bool {
	digits, ok := strings.CutPrefix(text, "md5")
	if !ok || len(digits) != 32 || strings.ToLower(digits) != digits {
		return false
	}
	_, err := hex.DecodeString(digits)
	return err == nil
}

// isVerifier checks the parts of a text that begins with scramPrefix.
func isVerifier(text string) bool {
	parts := strings.FieldsFunc(strings.TrimPrefix(text, scramPrefix), func(r rune) bool { return r == '$' || r == ':' })
	if len(parts) != 4 || strings.Count(text, "$") != 2 || strings.Count(text, ":") != 2 {
		return false
	}
	if n, err := strconv.ParseInt(parts[0], 10, 32); err != nil || n < 1 {
		return false
	}
	if _, err := base64.StdEncoding.DecodeString(parts[1]); err != nil {
		return false
	}
	for _, key := range parts[2:] {
		if b, err := base64.StdEncoding.DecodeString(key); err != nil || len(b) != sha256.Size {
			return false
		}
	}
	return true
}
