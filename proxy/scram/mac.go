package scram

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// MAC is HMAC-SHA-256 (RFC 2104) over the parts. crypto/hmac has the same result, and makes two hashes for each key; a login has four keys,
// and every key but one is used once. This one keeps a hash between two calls, and clears keys and texts.
func MAC(key []byte, parts ...string) []byte {
	m, _ := macs.Get().(*mac)
	defer macs.Put(m)
	m.setKey(key)
	inner := m.hash(innerPad, parts...)
	outer := m.hash(outerPad, string(inner[:]))
	clear(m.block[:])
	clear(m.text[:cap(m.text)])
	m.digest.Reset()
	return outer[:]
}

const (
	innerPad = 0x36
	outerPad = 0x5c
)

var macs = sync.Pool{New: func() any { return &mac{digest: sha256.New()} }}

// mac is what an HMAC needs while it is computed.
type mac struct {
	digest hash.Hash
	block  [sha256.BlockSize]byte // the key, masked with pad
	pad    byte
	text   []byte // of a part
}

func (m *mac) setKey(key []byte) {
	if len(key) > len(m.block) {
		short := sha256.Sum256(key)
		key = short[:]
	}
	clear(m.block[:])
	copy(m.block[:], key)
	m.pad = 0
}

// hash is the digest of the key, masked with pad, and of the parts.
func (m *mac) hash(pad byte, parts ...string) (sum [sha256.Size]byte) {
	for i := range m.block {
		m.block[i] ^= m.pad ^ pad
	}
	m.pad = pad
	m.digest.Reset()
	_, _ = m.digest.Write(m.block[:]) // a hash never fails
	for _, p := range parts {
		m.text = append(m.text[:0], p...)
		_, _ = m.digest.Write(m.text)
	}
	m.text = m.digest.Sum(m.text[:0])
	copy(sum[:], m.text)
	return sum
}
