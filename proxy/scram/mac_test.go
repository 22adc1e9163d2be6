package scram

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// TestMACIsThatOfTheLibrary for keys and texts of all lengths around a block's, and by many at once.
func TestMACIsThatOfTheLibrary(t *testing.T) {
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, seed))
			for keyLen := range 2*sha256.BlockSize + 2 {
				key := make([]byte, keyLen)
				for i := range key {
					key[i] = byte(r.Uint32())
				}
				parts := make([]string, r.IntN(4))
				for i := range parts {
					parts[i] = strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(3*sha256.BlockSize))
				}
				want := hmac.New(sha256.New, key)
				want.Write([]byte(strings.Join(parts, "")))
				if got := MAC(key, parts...); !bytes.Equal(got, want.Sum(nil)) {
					t.Errorf("a key of %d bytes, %d parts: %x", keyLen, len(parts), got)
				}
			}
		})
	}
	all.Wait()
}

// TestMACKeepsNothing of keys and texts for those who come next.
func TestMACKeepsNothing(t *testing.T) {
	MAC(bytes.Repeat([]byte("key"), 10), strings.Repeat("text", 20))
	m, _ := macs.Get().(*mac)
	if n := len(bytes.Trim(m.text[:cap(m.text)], "\x00")); n > 0 {
		t.Errorf("%d bytes are left", n)
	}
}

func BenchmarkMAC(b *testing.B) {
	key, text := make([]byte, KeyLen), strings.Repeat("x", 200)
	b.ReportAllocs()
	for b.Loop() {
		MAC(key, text)
	}
}
