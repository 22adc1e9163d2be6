// Package cancelkey makes and reads the keys by which a client cancels its query: the process ID and the secret that weir
// gives out in BackendKeyData and that come back, on another connection, in a CancelRequest.
//
// The process ID is no process: it says which loop holds the client and in which slot of its table, so that a request finds
// its client without a shared map. The secret says whether the sender may. PostgreSQL's own process IDs and secrets never
// leave weir. It is above all numbers that an operating system gives to processes: applications hand it to pg_cancel_backend, and
// there it must not be that of another session's process.
//
// Several weirs may share one address, and may restart: a key that unpacks well may be another weir's,
// or that of a client long gone. So a slot that is empty, or a secret that differs, is an ordinary miss: nothing is
// cancelled, nothing is answered, and only a counter tells.
//
// Among peers the key names its weir, as PgBouncer's keys name their PgBouncer: see peer.go.
//
// The package is pure, may be used on any goroutine, and imports the standard library only.
package cancelkey

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"io"
	"iter"
)

// A process ID is an int32 to the drivers that show it; hence 31 bits. Linux has no process from 1<<22 on (PID_MAX_LIMIT in
// include/linux/threads.h), other systems end far below; hence the loops are counted from one on.
const (
	slotBits = 22

	// LoopsMax is how many loops a process ID can tell apart: 9 bits, less the value below which processes are. loops.count and two more,
	// for replication and for the console, fit into it.
	LoopsMax = 1<<9 - 1
	// SlotsMax is how many slots of one loop it can tell apart: 22 bits, less the one value that is kept for "none". All of
	// max_client_conn fit into one loop.
	SlotsMax = 1<<slotBits - 1
)

// LongLen is the length of the secrets that clients get with protocol 3.2, in bytes: PostgreSQL 18's (MAX_CANCEL_KEY_LENGTH in
// src/include/storage/procsignal.h).
const LongLen = 32

// Keys makes and reads the keys of one process. It is made once and never changes.
type Keys struct {
	peer    uint16 // 0: there are no peers
	loops   int
	pidBits uint     // of a slot that are in the process ID
	first   uint32   // what stands there for loop 0
	stretch [32]byte // long secrets are made of short ones with it, so that a client costs no more memory; they look random without it
}

// New makes the Keys of a process with so many loops, at most LoopsMax, whose id among its peers is peer; 0: it has none. r is
// crypto/rand.Reader save in tests. A source that fails is a panic: a key that could be guessed must not be given out, and
// crypto/rand.Reader does not fail.
func New(peer uint16, loops int, r io.Reader) *Keys {
	k := &Keys{peer: peer, loops: LoopsMax, pidBits: slotBits, first: 1}
	if peer != 0 {
		k.loops = loops
		k.pidBits, k.first = share(loops)
	}
	draw(r, k.stretch[:])
	return k
}

func draw(r io.Reader, b []byte) {
	if _, err := io.ReadFull(r, b); err != nil {
		panic("cancelkey: no randomness: " + err.Error())
	}
}

// Pack makes the process ID of the client in that slot of that loop. It is no operating system's, and its top bit is clear. ok is false
// where loop is not below LoopsMax, or among peers the number of loops, or slot not below SlotsMax.
func (k *Keys) Pack(loop int, slot uint32) (pid uint32, ok bool) {
	if loop < 0 || loop >= k.loops || slot >= SlotsMax {
		return 0, false
	}
	if k.peer != 0 {
		return withPeer(k.peer, (uint32(loop)+k.first)<<k.pidBits|slot&k.mask()), true
	}
	return (uint32(loop)+k.first)<<slotBits | (slot + 1), true
}

func (k *Keys) mask() uint32 { return 1<<k.pidBits - 1 }

// Unpack is the reverse of Pack: the client is in one of these slots. ok is false for what Pack never makes.
func (k *Keys) Unpack(pid uint32) (loop int, slots Slots, ok bool) {
	if pid>>31 != 0 {
		return 0, Slots{}, false
	}
	if k.peer != 0 {
		where := whereOf(pid)
		loop = int(where>>k.pidBits) - int(k.first)
		return loop, Slots{where & k.mask(), k.mask() + 1}, peerOf(pid) == k.peer && loop >= 0 && loop < k.loops
	}
	slot := pid & (1<<slotBits - 1)
	loop = int(pid>>slotBits) - int(k.first)
	return loop, Slots{slot - 1, 1 << slotBits}, slot != 0 && loop >= 0
}

// Turn gives out slots in turn: one that was given up comes again last, for a late cancel request may still name it.
type Turn struct{ next uint32 }

// Next is a slot that is not taken. One at least must be free.
func (t *Turn) Next(taken func(slot uint32) bool) uint32 {
	for taken(t.next) {
		t.next = (t.next + 1) % SlotsMax
	}
	slot := t.next
	t.next = (t.next + 1) % SlotsMax
	return slot
}

// Slots are those to which a process ID may belong: one, or among peers, where the process ID has no room for all of a slot's number, one
// in 64 or fewer of a loop's, the more clients fit into all loops the more. The secret tells which of their clients it is.
type Slots struct{ first, step uint32 }

// Below are those of a table of that length.
func (s Slots) Below(length int) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for slot := uint64(s.first); slot < uint64(length) && s.step > 0; slot += uint64(s.step) {
			if !yield(uint32(slot)) {
				return
			}
		}
	}
}

// Has reports whether a slot is one of them.
func (s Slots) Has(slot uint32) bool { return s.step > 0 && slot%s.step == s.first }

// NewSecret draws the secret of one client; r as for New.
func (k *Keys) NewSecret(r io.Reader) uint32 {
	var b [4]byte
	draw(r, b[:])
	return k.whole(binary.BigEndian.Uint32(b[:]))
}

// Long is the long secret of the client with this process ID and short secret.
func (k *Keys) Long(pid, secret uint32) [LongLen]byte {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], pid)
	binary.BigEndian.PutUint32(b[4:], secret)
	h := hmac.New(sha256.New, k.stretch[:])
	h.Write(b[:])
	long := [LongLen]byte(h.Sum(nil))
	binary.BigEndian.PutUint32(long[:], k.whole(binary.BigEndian.Uint32(long[:])))
	return long
}

// Short is the secret as it is sent to clients that get a short one.
func Short(secret uint32) []byte { return binary.BigEndian.AppendUint32(nil, secret) }

// Equal reports whether what a CancelRequest presented is that secret. It takes the same time wherever the two differ; only
// the length of what was presented, which its sender knows, shows.
func (k *Keys) Equal(secret uint32, presented []byte) bool { return k.Same(Short(secret), presented) }

// EqualLong is Equal for a client that was given a long secret: the short one does not open for it.
func (k *Keys) EqualLong(pid, secret uint32, presented []byte) bool {
	long := k.Long(pid, secret)
	return k.Same(long[:], presented)
}

// Same is Equal for a secret as it was sent. Among peers the hops that the presented one has made do not count.
func (k *Keys) Same(sent, presented []byte) bool {
	if len(presented) != len(sent) {
		return false
	}
	hops := byte(0)
	if k.peer != 0 {
		hops = hopsMask
	}
	differs := (sent[hopsAt] ^ presented[hopsAt]) &^ hops
	rest := subtle.ConstantTimeCompare(sent[:hopsAt], presented[:hopsAt]) & subtle.ConstantTimeCompare(sent[hopsAt+1:], presented[hopsAt+1:])
	return rest&subtle.ConstantTimeByteEq(differs, 0) == 1
}
