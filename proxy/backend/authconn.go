package backend

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"weir/proxy/scram"
	"weir/proxy/wire"
)

// authConn answers the server's questions for a password where weir has something else
// than one: pgconn, above it, wants passwords. It lets pgconn see everything but the
// authentication, up to AuthenticationOk, and is out of the way from then on. It reads
// not one byte more than the messages of the authentication have.
//
// Owner: pgconn, which reads from one goroutine at a time.
type authConn struct {
	net.Conn                // plain or TLS
	user        string      // for errors
	substitutes Substitutes // what there is to answer with
	swallow     func(int)   // is told how many bytes pgconn will not see

	exchange *scram.Exchange // under way
	proved   bool            // the server has proved that it knows the verifier
	done     bool            // authenticated
	ahead    []byte          // for pgconn
}

// loginError is what went wrong in a login that authConn carries out; pgconn wraps it.
type loginError struct{ error }

func (e *loginError) Unwrap() error { return e.error }

// The kinds of Authentication messages (manual, "Message Formats").
const (
	authenticationOk           = 0
	authenticationCleartext    = 3
	authenticationMD5          = 5
	authenticationSASL         = 10
	authenticationSASLContinue = 11
	authenticationSASLFinal    = 12
)

// Read is pgconn's.
func (c *authConn) Read(p []byte) (int, error) {
	for len(c.ahead) == 0 {
		if c.done {
			return c.Conn.Read(p)
		}
		if err := c.message(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

// message reads one, and answers it or keeps it for pgconn.
func (c *authConn) message() error {
	var header [wire.HeaderLen]byte
	if _, err := io.ReadFull(c.Conn, header[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(header[1:])
	if n < 4 || n > loginMessageMax {
		return &loginError{fmt.Errorf("a message %q of %d bytes, expected at most %d", header[0], n, loginMessageMax)}
	}
	whole := make([]byte, 1+n)
	copy(whole, header[:])
	if _, err := io.ReadFull(c.Conn, whole[wire.HeaderLen:]); err != nil {
		return err
	}
	body := whole[wire.HeaderLen:]
	if header[0] != wire.ServerAuthentication || len(body) < 4 {
		c.ahead = whole
		return nil
	}
	answered, err := c.authenticate(binary.BigEndian.Uint32(body), body[4:])
	if err != nil {
		return err
	}
	if answered {
		c.swallow(len(whole))
	} else {
		c.ahead = whole
	}
	return nil
}

// authenticate answers a question. False: it is for pgconn.
func (c *authConn) authenticate(kind uint32, data []byte) (answered bool, err error) {
	switch kind {
	case authenticationOk:
		// A server that skips the end of the exchange has not proved that it knows the verifier.
		if c.exchange != nil && !c.proved {
			return false, &loginError{errors.New("the server let weir in before it had proved that it knows the password's verifier")}
		}
		c.done = true
		return false, nil
	case authenticationCleartext:
		return false, &CredentialError{c.user, "the password in clear text", c.substitutes.lack()}
	case authenticationMD5:
		if !c.substitutes.MD5.IsSet() || len(data) != 4 {
			return false, &CredentialError{c.user, "md5", c.substitutes.lack()}
		}
		return true, c.send(append([]byte(md5Answer(c.substitutes.MD5, data)), 0))
	case authenticationSASL:
		return c.begin(strings.Split(strings.TrimRight(string(data), "\x00"), "\x00"))
	case authenticationSASLContinue:
		if c.exchange == nil {
			return false, nil
		}
		final, err := c.exchange.Final(string(data))
		if errors.Is(err, scram.ErrNoKey) {
			return false, &CredentialError{c.user, "scram-sha-256", c.substitutes.lackOfKeys()}
		}
		if err != nil {
			return false, &loginError{err}
		}
		return true, c.send([]byte(final))
	case authenticationSASLFinal:
		if c.exchange == nil {
			return false, nil
		}
		if err := c.exchange.Verify(string(data)); err != nil {
			return false, &loginError{err}
		}
		c.proved = true
		return true, nil
	}
	return false, nil
}

// begin answers the offer of mechanisms.
func (c *authConn) begin(mechanisms []string) (answered bool, err error) {
	var binding, possible []byte
	if encrypted, ok := c.Conn.(*tls.Conn); ok {
		possible = scram.Binding(encrypted.ConnectionState().PeerCertificates[0])
	}
	if slices.Contains(mechanisms, scram.MechanismPlus) {
		binding = possible
	}
	if binding == nil && !slices.Contains(mechanisms, scram.Mechanism) {
		return false, nil // pgconn knows more of them, or has an error to say
	}
	if len(c.substitutes.Keys) == 0 {
		return false, &CredentialError{c.user, "scram-sha-256", c.substitutes.lackOfKeys()}
	}
	var nonce [scram.NonceLen]byte
	_, _ = rand.Read(nonce[:]) // never fails: crypto/rand, from Go 1.24
	c.exchange = scram.NewExchange(c.substitutes.Keys, base64.StdEncoding.EncodeToString(nonce[:]), binding)
	if possible != nil && binding == nil {
		c.exchange.CouldBind()
	}
	first := c.exchange.First()
	body := append([]byte(c.exchange.Mechanism()), 0)
	body = binary.BigEndian.AppendUint32(body, uint32(len(first)))
	return true, c.send(append(body, first...))
}

// send writes an answer.
func (c *authConn) send(body []byte) error {
	message := binary.BigEndian.AppendUint32([]byte{wire.ClientPassword}, uint32(len(body)+4))
	_, err := c.Conn.Write(append(message, body...))
	return err
}

// under is the connection below pgconn's hands.
func under(nc net.Conn) net.Conn {
	if c, ok := nc.(*authConn); ok {
		return c.Conn
	}
	return nc
}
