package backend

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// login is the conversation from the startup packet to the ReadyForQuery. It knows bytes only, no socket and no clock.
type login struct {
	messages
	to     io.Writer
	target *Target
	minor  uint16 // of the protocol: asked for, then agreed on
	asked  uint16
	auth   auth

	settings map[string]string // as reported
	pid      uint32
	secret   []byte
	told     int // notices that were passed on
}

// loginError is a server that breaks the rules of the login, or asks for what weir does not do.
type loginError struct{ error }

func (e *loginError) Unwrap() error { return e.error }

var errManyParameters = protocolError("more than %d parameters", wire.MaxReported)

func protocolError(format string, args ...any) error {
	return &loginError{fmt.Errorf("the server sends "+format, args...)}
}

// newLogin is one over a stream. certificate is the server's, if the stream is encrypted.
func newLogin(t *Target, stream io.ReadWriter, minor uint16, certificate *x509.Certificate) *login {
	return &login{
		messages: messages{from: stream, left: talkMax}, to: stream, target: t, minor: minor, asked: minor,
		auth: auth{target: t, certificate: certificate}, settings: map[string]string{},
	}
}

// run logs in. When it returns nil, the next byte of the stream is the first after the ReadyForQuery.
func (l *login) run() error {
	packet, err := l.startup()
	if err != nil {
		return err
	}
	if _, err := l.to.Write(packet); err != nil {
		return l.lastWords(err)
	}
	for _, step := range [...]func(frame) (done bool, err error){l.authenticate, l.settle} {
		for done := false; !done; {
			m, err := l.next()
			if err != nil {
				return err
			}
			if done, err = l.common(m, step); err != nil {
				return err
			}
		}
	}
	return nil
}

// common does what may come at any time of a login, and leaves the rest to the step.
func (l *login) common(m frame, step func(frame) (bool, error)) (done bool, err error) {
	switch m.kind {
	case wire.ServerErrorResponse:
		said := readServerMessage(m.body)
		return false, &said
	case wire.ServerNoticeResponse:
		l.notice(m.body)
		return false, nil
	}
	return step(m)
}

// noticesMax bounds the notices of one login that are passed on.
const noticesMax = 5

func (l *login) notice(body []byte) {
	if l.told++; l.target.Notify != nil && l.told <= noticesMax {
		l.target.Notify(readServerMessage(body))
	}
}

// lastWords is why a write failed: what the server said before it closed the connection, if it said anything.
func (l *login) lastWords(failed error) error {
	for {
		m, err := l.next()
		if said, ok := errors.AsType[*ServerMessage](err); ok {
			return said
		}
		if err != nil {
			return failed
		}
		if m.kind == wire.ServerErrorResponse {
			said := readServerMessage(m.body)
			return &said
		}
	}
}

// startup is the startup packet.
func (l *login) startup() ([]byte, error) {
	t := l.target
	params := []wire.Param{{Name: "user", Value: t.User}, {Name: "database", Value: t.Database}}
	add := func(name, value string) { params = append(params, wire.Param{Name: name, Value: value}) }
	if t.Replication != "" {
		add("replication", t.Replication)
	}
	if t.ApplicationName != "" {
		add("application_name", t.ApplicationName)
	}
	for _, s := range t.Settings {
		add(s.Name, s.Value)
	}
	for _, p := range params {
		if p.Name == "" || strings.ContainsRune(p.Name+p.Value, 0) {
			return nil, &loginError{fmt.Errorf("the startup parameter %q has an empty name, or a NUL", p.Name)}
		}
	}
	packet := wire.AppendStartup(nil, l.minor, params)
	if len(packet) > wire.MaxStartupPacket {
		return nil, &loginError{fmt.Errorf("the startup packet has %d bytes, and servers take no more than %d", len(packet), wire.MaxStartupPacket)}
	}
	return packet, nil
}

// authenticate takes a message up to the AuthenticationOk.
func (l *login) authenticate(m frame) (done bool, err error) {
	switch m.kind {
	case wire.ServerNegotiateVersion:
		if l.minor < l.asked || l.auth.stage != authUnasked {
			return false, protocolError("a version of the protocol when that is settled")
		}
		if l.minor, err = wire.PeekNegotiateVersion(m.body, l.asked); err != nil {
			return false, &loginError{err}
		}
		return false, nil
	case wire.ServerAuthentication:
		answer, err := l.auth.answer(m.body)
		if err != nil {
			return false, err
		}
		if len(answer) > 0 {
			if _, err := l.to.Write(answer); err != nil {
				return false, l.lastWords(err)
			}
		}
		return l.auth.stage == authDone, nil
	}
	return false, protocolError("a message %q before AuthenticationOk", m.kind)
}

// settle takes a message after the AuthenticationOk.
func (l *login) settle(m frame) (done bool, err error) {
	switch m.kind {
	case wire.ServerParameterStatus:
		name, value, err := wire.PeekParameterStatus(m.body)
		if err != nil {
			return false, protocolError("a parameter that is cut off")
		}
		l.settings[string(name)] = string(value)
		if len(l.settings) > wire.MaxReported {
			return false, errManyParameters
		}
		return false, nil
	case wire.ServerBackendKeyData:
		pid, secret, err := wire.PeekBackendKeyData(m.body, l.minor)
		if err != nil {
			return false, protocolError("%w", err)
		}
		l.pid, l.secret = pid, secret
		return false, nil
	case wire.ServerReadyForQuery:
		status, err := wire.PeekReadyForQuery(m.body)
		if err != nil || status != wire.TxIdle {
			return false, protocolError("ReadyForQuery with the transaction status %q at the end of the login", m.body)
		}
		return true, nil
	}
	return false, protocolError("a message %q in the login", m.kind)
}

// params lists the reported settings by name.
func (l *login) params() []session.Setting {
	list := make([]session.Setting, 0, len(l.settings))
	for name, value := range l.settings {
		list = append(list, session.Setting{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b session.Setting) int { return strings.Compare(a.Name, b.Name) })
	return list
}
