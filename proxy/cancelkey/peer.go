package cancelkey

import (
	"bytes"
	"math/bits"
)

// Keys among peers have PgBouncer's layout (src/proto.c, welcome_client, and CANCELLATION_TTL_MASK in include/bouncer.h), so that weirs and
// PgBouncers pass on each other's requests. Of the eight bytes, four of the process ID and four of the secret,
//
//	0     15 bits of weir's own with byte 3; the top bit is clear
//	1, 2  the peer's id, low byte first
//	3     see 0
//	4-7   random, but for the two low bits of byte 7: how often the request may still be passed on
//
// A long secret has those two bits at the same place; PgBouncer knows none.

const (
	whereBits = 15
	// PeerMax is the highest id that a peer may have: PgBouncer's limit.
	PeerMax = 16383

	hopsAt   = 3 // in a secret
	hopsMask = 3
)

// share divides the 15 bits between loops and slots. first is what stands for loop 0: byte 0 of a process ID is never 0, so the ID is above all
// that an operating system gives to processes, whatever the peer's id.
func share(loops int) (slots uint, first uint32) {
	for slots = whereBits - uint(bits.Len(uint(loops))); ; slots-- {
		first = max(1, uint32(1)<<8>>slots)
		if (loops+int(first))<<slots <= 1<<whereBits {
			return slots, first
		}
	}
}

func withPeer(peer uint16, where uint32) uint32 {
	return where>>8<<24 | uint32(peer&0xff)<<16 | uint32(peer>>8)<<8 | where&0xff
}

func whereOf(pid uint32) uint32 { return pid>>24<<8 | pid&0xff }

// peerOf is the id in a key; only among peers does it mean something.
func peerOf(pid uint32) uint16 { return uint16(pid>>16&0xff | pid&0xff00) }

// whole is a secret that has made no hops.
func (k *Keys) whole(secret uint32) uint32 {
	if k.peer != 0 {
		secret |= hopsMask
	}
	return secret
}

// Foreign reports whether a key is another peer's, and whose.
func (k *Keys) Foreign(pid uint32) (peer uint16, foreign bool) {
	peer = peerOf(pid)
	return peer, k.peer != 0 && peer != k.peer
}

// Passed reports whether a presented secret came by way of a peer.
func Passed(presented []byte) bool { return presented[hopsAt]&hopsMask != hopsMask }

// PassOn is the secret to present to the next peer. It returns false if the request has made as many hops as it may: peers whose
// configurations disagree do not pass it round and round.
func PassOn(presented []byte) (next []byte, ok bool) {
	if presented[hopsAt]&hopsMask == 0 {
		return nil, false
	}
	next = bytes.Clone(presented)
	next[hopsAt]--
	return next, true
}
