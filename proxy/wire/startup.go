package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	"weir/proxy/pgerror"
)

// MaxStartupPacket bounds the first packet of a connection, without its length word: MAX_STARTUP_PACKET_LENGTH in PostgreSQL's
// src/include/libpq/pqcomm.h.
const MaxStartupPacket = 10_000

// Codes that stand where a startup packet has its protocol version: a major version of 1234, which no protocol will ever
// have (src/include/libpq/pqcomm.h).
const (
	cancelRequestCode = 1234<<16 | 5678
	sslRequestCode    = 1234<<16 | 5679
	gssencRequestCode = 1234<<16 | 5680
)

// The length of a cancel secret, in bytes: exactly 4 in protocol 3.0, up to 256 in 3.2 (manual, "CancelRequest").
const (
	cancelSecretMin = 4
	cancelSecretMax = 256
)

// ErrNotStartup reports a first packet that no PostgreSQL client sends. PostgreSQL closes such connections without a word,
// and so should the caller: who sent it would not understand one.
var ErrNotStartup = errors.New("not a startup packet")

// StartupKind says which of the four packets that may come first on a connection it is.
type StartupKind uint8

// The kinds of a first packet.
const (
	StartupLogin  StartupKind = iota // a startup packet of whatever protocol version
	StartupSSL                       // SSLRequest
	StartupGSSENC                    // GSSENCRequest
	StartupCancel                    // CancelRequest
)

func (k StartupKind) String() string {
	switch k {
	case StartupLogin:
		return "startup packet"
	case StartupSSL:
		return "SSLRequest"
	case StartupGSSENC:
		return "GSSENCRequest"
	case StartupCancel:
		return "CancelRequest"
	}
	return "unknown"
}

// Param is a name and a value, as a client gave them.
type Param struct{ Name, Value string }

// Startup is a parsed first packet. It holds copies: the packet's bytes may be reused.
type Startup struct {
	Kind StartupKind

	// Of StartupLogin.
	Major, Minor uint16
	Params       []Param  // in order, duplicates included (the last one counts); without those of Options
	Options      []string // names of protocol options ("_pq_.") in order; weir knows none yet

	// Of StartupCancel.
	PID    uint32
	Secret []byte // 4 to 256 bytes
}

// Param returns the value of the last parameter of that name, in exactly that spelling: PostgreSQL compares "user",
// "database", "options" and "replication" byte by byte.
func (s *Startup) Param(name string) (value string, ok bool) {
	for i := len(s.Params) - 1; i >= 0; i-- {
		if s.Params[i].Name == name {
			return s.Params[i].Value, true
		}
	}
	return "", false
}

// ValidStartupLen reports whether a first packet may have that length word, which counts itself.
func ValidStartupLen(n uint32) bool { return n >= 8 && n <= MaxStartupPacket+4 }

// ParseStartup reads the first packet of a connection, without its length word. The error is ErrNotStartup where the
// connection is to be closed in silence, otherwise a *pgerror.Error to be sent. Startup packets of other major versions
// than 3 have another layout; of them only Major and Minor are read.
//
// The rules are those of ProcessStartupPacket in PostgreSQL's src/backend/tcop/backend_startup.c.
func ParseStartup(body []byte) (Startup, error) {
	if len(body) < 4 || len(body) > MaxStartupPacket {
		return Startup{}, ErrNotStartup
	}
	code, rest := binary.BigEndian.Uint32(body), body[4:]
	switch code {
	case cancelRequestCode:
		return parseCancel(rest)
	case sslRequestCode, gssencRequestCode:
		if len(rest) != 0 {
			return Startup{}, ErrNotStartup
		}
		if code == sslRequestCode {
			return Startup{Kind: StartupSSL}, nil
		}
		return Startup{Kind: StartupGSSENC}, nil
	}
	s := Startup{Kind: StartupLogin, Major: uint16(code >> 16), Minor: uint16(code)}
	if s.Major != 3 {
		return s, nil
	}
	return parseParams(s, rest)
}

// BeginsCancelRequest reports whether a connection that begins with p, length word included, brings a CancelRequest.
func BeginsCancelRequest(p []byte) bool {
	return len(p) >= 8 && ValidStartupLen(binary.BigEndian.Uint32(p)) && binary.BigEndian.Uint32(p[4:]) == cancelRequestCode
}

func parseCancel(rest []byte) (Startup, error) {
	if len(rest) < 4+cancelSecretMin || len(rest) > 4+cancelSecretMax {
		return Startup{}, ErrNotStartup
	}
	return Startup{Kind: StartupCancel, PID: binary.BigEndian.Uint32(rest), Secret: bytes.Clone(rest[4:])}, nil
}

// parseParams reads NUL-terminated names and values up to an empty name, which must be the last byte of the packet.
func parseParams(s Startup, rest []byte) (Startup, error) {
	for {
		name, more, ok := cstring(rest)
		if !ok {
			return Startup{}, pgerror.MissingTerminator
		}
		if len(name) == 0 {
			if len(more) != 0 {
				return Startup{}, pgerror.MissingTerminator
			}
			return s, nil
		}
		value, more, ok := cstring(more)
		if !ok {
			return Startup{}, pgerror.MissingTerminator
		}
		if bytes.HasPrefix(name, []byte("_pq_.")) {
			s.Options = append(s.Options, string(name))
		} else {
			s.Params = append(s.Params, Param{Name: string(name), Value: string(value)})
		}
		rest = more
	}
}

// SplitOptions reads the startup parameter "options" (PGOPTIONS) as the command line that it is to PostgreSQL, and returns
// the settings that it holds: -c name=value, -cname=value and --name=value. PostgreSQL takes further switches there (-e, -S,
// ...), which are settings under old names; no driver writes them any more, and they are an error here, as is anything else.
//
// Words are split as pg_split_opts does, at white space that no backslash precedes; names have their hyphens turned to
// underscores, as ParseLongOption does (src/backend/utils/init/postinit.c and misc/guc.c). The error is a *pgerror.Error.
func SplitOptions(options string) ([]Param, error) {
	var params []Param
	words := splitWords(options)
	for i := 0; i < len(words); i++ {
		word, setting := words[i], ""
		switch {
		case word == "-c":
			if i+1 == len(words) {
				return nil, pgerror.InvalidOptions("-c requires an argument")
			}
			i++
			setting = words[i]
		case strings.HasPrefix(word, "-c"):
			setting = word[2:]
		case word == "--" && i+1 == len(words):
			continue // getopt's end of options, and nothing after it
		case strings.HasPrefix(word, "--") && word != "--":
			setting = word[2:]
		default:
			return nil, pgerror.InvalidOptions(`"` + word + `" is not a setting`)
		}
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			return nil, pgerror.InvalidOptions(`"` + setting + `" requires a value`)
		}
		params = append(params, Param{Name: strings.ReplaceAll(name, "-", "_"), Value: value})
	}
	return params, nil
}

func splitWords(s string) []string {
	var words []string
	for {
		s = strings.TrimLeft(s, " \t\n\v\f\r") // what isspace takes in the C locale
		if s == "" {
			return words
		}
		var word string
		word, s = firstWord(s)
		words = append(words, word)
	}
}

// firstWord takes the first word off s, which does not begin with white space. A backslash makes the next byte ordinary.
func firstWord(s string) (word, rest string) {
	var b strings.Builder
	escaped := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case escaped:
			b.WriteByte(c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == ' ' || '\t' <= c && c <= '\r':
			return b.String(), s[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
