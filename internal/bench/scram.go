package bench

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// passwords logs clients in with SCRAM-SHA-256 (RFC 5802). A password is derived once for each salt, where pgbench and libpq derive it
// for each connection: milliseconds of a core, beside which a proxy's microseconds would not show.
type passwords struct {
	mu      sync.Mutex
	derived map[string]saltedKeys
}

// saltedKeys are what a client needs of a derived password.
type saltedKeys struct{ client, stored []byte }

// Codes of Authentication messages.
const (
	authOK           = 0
	authSASL         = 10
	authSASLContinue = 11
	authSASLFinal    = 12
)

// login proves the password, as often as it is asked, and reads up to the first ReadyForQuery.
func (p *passwords) login(c *client) error {
	if _, err := c.conn.Write(c.startup()); err != nil {
		return err
	}
	var nonce [18]byte
	_, _ = rand.Read(nonce[:])
	bare := "n=,r=" + base64.StdEncoding.EncodeToString(nonce[:])
	for {
		typ, body, err := c.message()
		if err != nil {
			return err
		}
		switch {
		case typ == 'E':
			return parseError(body)
		case typ == 'Z':
			return nil
		case typ != 'R' || len(body) < 4:
			continue
		}
		switch code := binary.BigEndian.Uint32(body); code {
		case authOK, authSASLFinal:
		case authSASL:
			first := "n,," + bare
			b := append([]byte("SCRAM-SHA-256\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(first)))...)
			err = c.send('p', append(b, first...))
		case authSASLContinue:
			var final string
			if final, err = p.answer(bare, string(body[4:])); err == nil {
				err = c.send('p', []byte(final))
			}
		default:
			err = fmt.Errorf("authentication %d, want SCRAM", code)
		}
		if err != nil {
			return err
		}
	}
}

// answer is the client's final message.
func (p *passwords) answer(bare, serverFirst string) (string, error) {
	parts := strings.Split(serverFirst, ",")
	if len(parts) < 3 {
		return "", errors.New("SCRAM: the server's first message has not three parts")
	}
	keys, err := p.keys(strings.TrimPrefix(parts[1], "s="), strings.TrimPrefix(parts[2], "i="))
	if err != nil {
		return "", err
	}
	withoutProof := "c=biws," + parts[0]
	proof := sum(keys.stored, bare+","+serverFirst+","+withoutProof)
	for i := range proof {
		proof[i] ^= keys.client[i]
	}
	return withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (p *passwords) keys(salt, iterations string) (saltedKeys, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.derived[salt+" "+iterations]; ok {
		return k, nil
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	n, errN := strconv.Atoi(iterations)
	if err = errors.Join(err, errN); err != nil {
		return saltedKeys{}, fmt.Errorf("SCRAM: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, password, raw, n, sha256.Size)
	if err != nil {
		return saltedKeys{}, err
	}
	k := saltedKeys{client: sum(salted, "Client Key")}
	stored := sha256.Sum256(k.client)
	k.stored = stored[:]
	if p.derived == nil {
		p.derived = map[string]saltedKeys{}
	}
	p.derived[salt+" "+iterations] = k
	return k, nil
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// message reads one message; the body is valid until the next call, and cut off at the read buffer's size.
func (c *client) message() (typ byte, body []byte, err error) {
	head, err := c.r.Peek(5)
	if err != nil {
		return 0, nil, err
	}
	typ, length := head[0], int(binary.BigEndian.Uint32(head[1:]))-4
	_, _ = c.r.Discard(5) // just peeked
	if body, err = c.r.Peek(min(length, c.r.Size())); err != nil {
		return 0, nil, err
	}
	body = bytes.Clone(body)
	_, err = c.r.Discard(length)
	return typ, body, err
}

func (c *client) send(typ byte, body []byte) error {
	msg := binary.BigEndian.AppendUint32([]byte{typ}, uint32(len(body)+4))
	_, err := c.conn.Write(append(msg, body...))
	return err
}
