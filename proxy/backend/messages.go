package backend

import (
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf8"

	"weir/proxy/wire"
)

const (
	// messageMax bounds a message of the server, in bytes. Real ones of a login have some hundred; what is no PostgreSQL at
	// all may announce a gigabyte (HTTP/1.1 reads as a message of 1.4 GB).
	messageMax = 256 << 10
	// talkMax bounds all messages of a login or of a reply together, in bytes, for a server that never comes to an end.
	talkMax = 1 << 20
	// oldErrorMax bounds an error of protocol 2, in bytes: 'E' and a text up to a NUL, which a postmaster sends that cannot start a
	// process. Four letters of it read as a length that no message has.
	oldErrorMax = 1000
)

// messages reads what a server sends, one message at a time, and not one byte further: what comes next may be a loop's to read.
type messages struct {
	from io.Reader
	seen int // messages read so far
	left int // bytes that may still come
}

// frame is one message of the server. Its body is the caller's to keep.
type frame struct {
	kind byte
	body []byte
}

// next reads a message.
func (m *messages) next() (frame, error) {
	var header [wire.HeaderLen]byte
	if _, err := io.ReadFull(m.from, header[:]); err != nil {
		return frame{}, err
	}
	kind, n := header[0], binary.BigEndian.Uint32(header[1:])
	if kind == wire.ServerErrorResponse && m.seen == 0 && n > messageMax {
		return frame{}, m.oldError(header[1:])
	}
	if n < 4 || n > messageMax {
		return frame{}, protocolError("a message %q of %d bytes, expected 4 to %d", kind, n, messageMax)
	}
	m.seen++
	if m.left -= int(n) + 1; m.left < 0 {
		return frame{}, protocolError("messages of more than %d bytes together", talkMax)
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(m.from, body)
	return frame{kind, body}, err
}

// oldError reads an error of protocol 2, whose first four bytes were taken for a length.
func (m *messages) oldError(first []byte) error {
	text := append([]byte(nil), first...)
	for len(text) < oldErrorMax && text[len(text)-1] != 0 {
		var next [1]byte
		if _, err := io.ReadFull(m.from, next[:]); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		text = append(text, next[0])
	}
	said := ServerMessage{Severity: "FATAL", Code: codeNone, Message: tidy(text)}
	if !isText(said.Message) {
		return protocolError("a message 'E' of %d bytes, expected 4 to %d", binary.BigEndian.Uint32(first), messageMax)
	}
	return &said
}

// isText reports whether a text is fit to be shown to people.
func isText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == utf8.RuneError })
}

// ServerMessage is what a server says for people to read: an error, or a notice.
type ServerMessage struct {
	Severity string // FATAL, ERROR, WARNING, NOTICE, ...
	Code     string // SQLSTATE; codeNone if the server gave none
	Message  string
	Detail   string
	Hint     string
	Routine  string // of the server's source that it comes from, the same in every language
}

// codeNone stands for the code of an error that has none: sqlclient_unable_to_establish_sqlconnection.
const codeNone = "08001"

// Error implements error, for errors.
func (m *ServerMessage) Error() string { return m.Severity + ": " + m.Message + " (" + m.Code + ")" }

// fieldMax bounds a field of a message that weir repeats, in bytes: it goes into logs, and to clients.
const fieldMax = 1000

// readServerMessage reads the body of an ErrorResponse or a NoticeResponse.
func readServerMessage(body []byte) ServerMessage {
	field := func(name byte) string { return tidy(wire.PeekErrorField(body, name)) }
	m := ServerMessage{
		Severity: field(wire.FieldSeverity), Code: field(wire.FieldCode), Message: field(wire.FieldMessage),
		Detail: field(wire.FieldDetail), Hint: field(wire.FieldHint),
		Routine: field(wire.FieldRoutine),
	}
	if m.Severity == "" {
		m.Severity = field('S')
	}
	if !isSQLState(m.Code) {
		m.Code = codeNone
	}
	if m.Message == "" {
		m.Message = "an error without a message"
	}
	return m
}

func isSQLState(code string) bool {
	return len(code) == 5 && strings.Trim(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// tidy makes a short text in UTF-8 of what a server has sent. It ends before a NUL.
func tidy(text []byte) string {
	s, _, _ := strings.Cut(string(text[:min(len(text), fieldMax)]), "\x00")
	return strings.TrimSpace(strings.ToValidUTF8(s, "?"))
}
