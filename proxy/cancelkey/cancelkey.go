// Package cancelkey makes and reads the keys by which a client cancels its query: the process ID and the secret that weir
// gives out in BackendKeyData and that come back, on another connection, in a CancelRequest.
//
// The process ID is no process: it says which loop holds the client and in which slot of its table, so that a request finds
// its client without a shared map. The secret says whether the sender may. PostgreSQL's own process IDs and secrets never
// leave weir.
//
// Several weirs may share one address, and may restart: a key that unpacks well may be another weir's,
// or that of a client long gone. So a slot that is empty, or a secret that differs, is an ordinary miss: nothing is
// cancelled, nothing is answered, and only a counter tells.
//
// The package is pure, may be used on any goroutine, and imports the standard library only.
package cancelkey

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"io"
)

// A process ID is an int32 to the drivers that show it, and libpq takes 0 for "none"; hence 31 bits, and one is added to the
// slot.
const (
	slotBits = 22

	// LoopsMax is how many loops a process ID can tell apart: 9 bits. loops.count and one more for replication fit into it.
	LoopsMax = 1 << 9
	// SlotsMax is how many slots of one loop it can tell apart: 22 bits, less the one value that is kept for "none". All of
	// max_client_conn fit into one loop.
	SlotsMax = 1<<slotBits - 1
)

// Pack makes the process ID of the client in that slot of that loop. It is never 0 and its top bit is clear. ok is false
// where loop is not below LoopsMax or slot not below SlotsMax.
func Pack(loop int, slot uint32) (pid uint32, ok bool) {
	if loop < 0 || loop >= LoopsMax || slot >= SlotsMax {
		return 0, false
	}
	return uint32(loop)<<slotBits | (slot + 1), true
}

// Unpack is the reverse of Pack. ok is false for what Pack never makes.
func Unpack(pid uint32) (loop int, slot uint32, ok bool) {
	slot = pid & (1<<slotBits - 1)
	if pid>>31 != 0 || slot == 0 {
		return 0, 0, false
	}
	return int(pid >> slotBits), slot - 1, true
}

// NewSecret draws the secret of one client. r is crypto/rand.Reader save in tests. A source that fails is a panic: a key
// that could be guessed must not be given out, and crypto/rand.Reader does not fail.
func NewSecret(r io.Reader) uint32 {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		panic("cancelkey: no randomness: " + err.Error())
	}
	return binary.BigEndian.Uint32(b[:])
}

// LongLen is the length of the secrets that clients get with protocol 3.2, in bytes: PostgreSQL 18's (MAX_CANCEL_KEY_LENGTH in
// src/include/storage/procsignal.h).
const LongLen = 32

// Stretcher makes long secrets of short ones, so that a client costs no more memory for it. Without its key they cannot be
// told from random ones. It is made once a process and never changes.
type Stretcher struct{ key [32]byte }

// NewStretcher draws a key; r as for NewSecret.
func NewStretcher(r io.Reader) *Stretcher {
	s := new(Stretcher)
	if _, err := io.ReadFull(r, s.key[:]); err != nil {
		panic("cancelkey: no randomness: " + err.Error())
	}
	return s
}

// Long is the long secret of the client with this process ID and short secret.
func (s *Stretcher) Long(pid, secret uint32) [LongLen]byte {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], pid)
	binary.BigEndian.PutUint32(b[4:], secret)
	h := hmac.New(sha256.New, s.key[:])
	h.Write(b[:])
	return [LongLen]byte(h.Sum(nil))
}

// Short is the secret as it is sent to clients that get a short one.
func Short(secret uint32) []byte { return binary.BigEndian.AppendUint32(nil, secret) }

// Equal reports whether what a CancelRequest presented is that secret. It takes the same time wherever the two differ; only
// the length of what was presented, which its sender knows, shows.
func Equal(secret uint32, presented []byte) bool {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], secret)
	return subtle.ConstantTimeCompare(b[:], presented) == 1
}

// EqualLong is Equal for a client that was given a long secret: the short one does not open for it.
func (s *Stretcher) EqualLong(pid, secret uint32, presented []byte) bool {
	long := s.Long(pid, secret)
	return subtle.ConstantTimeCompare(long[:], presented) == 1
}
