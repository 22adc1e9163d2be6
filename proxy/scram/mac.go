package scram

import (
	"crypto/sha256"
	"slices"
	"sync"
)

// MAC is HMAC-SHA-256 (RFC 2104) over the parts. crypto/hmac has the same result, and makes two hashes for each key; a login has four keys,
// and every key but one is used once. This one makes none: it keeps what is hashed in one piece, and clears that.
func MAC(key []byte, parts ...string) []byte {
	m, _ := macs.Get().(*mac)
	defer macs.Put(m)
	length := sha256.BlockSize
	for _, p := range parts {
		length += len(p)
	}
	m.text = slices.Grow(m.text[:0], length) // before there is anything in it that another copy would keep
	m.begin(key, innerPad)
	for _, p := range parts {
		m.text = append(m.text, p...)
	}
	inner := sha256.Sum256(m.text)
	m.begin(key, outerPad)
	m.text = append(m.text, inner[:]...)
	outer := sha256.Sum256(m.text)
	clear(m.text[:cap(m.text)])
	return outer[:]
}

const (
	innerPad = 0x36
	outerPad = 0x5c
)

var macs = sync.Pool{New: func() any { return &mac{text: make([]byte, 0, 512)} }}

// mac is what an HMAC needs while it is computed.
type mac struct {
	text []byte // the masked key, and what is hashed with it
}

// begin puts the masked key, which fills a block, at the beginning of the text.
func (m *mac) begin(key []byte, pad byte) {
	if len(key) > sha256.BlockSize {
		short := sha256.Sum256(key)
		key = short[:]
	}
	m.text = append(m.text[:0], key...)
	for len(m.text) < sha256.BlockSize {
		m.text = append(m.text, 0)
	}
	for i := range m.text {
		m.text[i] ^= pad
	}
}
