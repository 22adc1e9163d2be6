package cancelkey

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/iotest"
)

func alone() *Keys { return New(0, 3, rand.Reader) }

// mayBeAProcess reports whether an operating system may give that number to a process.
func mayBeAProcess(pid uint32) bool { return pid <= 1<<22 }

func TestPackAndUnpackAreInverse(t *testing.T) {
	k := alone()
	seen := map[uint32]bool{}
	for _, loop := range []int{0, 1, 63, LoopsMax - 1} {
		for _, slot := range []uint32{0, 1, 4095, 1 << 20, SlotsMax - 1} {
			pid, ok := k.Pack(loop, slot)
			if !ok {
				t.Fatalf("Pack(%d, %d) refused", loop, slot)
			}
			if mayBeAProcess(pid) || pid>>31 != 0 {
				t.Errorf("Pack(%d, %d) = %#x; want a positive int32 that is no process's", loop, slot, pid)
			}
			if seen[pid] {
				t.Errorf("Pack(%d, %d) = %#x, which is another client's", loop, slot, pid)
			}
			seen[pid] = true
			l, s, ok := k.Unpack(pid)
			if all := slices.Collect(s.Below(SlotsMax)); !ok || l != loop || !slices.Equal(all, []uint32{slot}) || !s.Has(slot) || s.Has(slot+1) {
				t.Errorf("Unpack(%#x) = %d, %d, %v; want %d, %d", pid, l, all, ok, loop, slot)
			}
		}
	}
}

// Among peers some bits of the slot's number are not in the process ID: the client is in one of few slots.
func TestUnpackAmongPeersFindsFewSlots(t *testing.T) {
	for _, loops := range []int{1, 3, 4, 34, LoopsMax} {
		k := New(0x1200, loops, rand.Reader) // whose low byte leaves the process ID small
		clients := 1_000_000 / loops         // of each
		for _, loop := range []int{0, loops / 2, loops - 1} {
			for _, slot := range []uint32{0, 1, 77, uint32(clients) - 1} {
				pid, ok := k.Pack(loop, slot)
				if !ok || mayBeAProcess(pid) || pid>>31 != 0 || peerOf(pid) != 0x1200 {
					t.Fatalf("Pack(%d, %d) of %d = %#x, %v", loop, slot, loops, pid, ok)
				}
				l, s, ok := k.Unpack(pid)
				found := slices.Collect(s.Below(clients))
				if !ok || l != loop || !slices.Contains(found, slot) || !s.Has(slot) || len(found) > 64 {
					t.Errorf("Unpack(%#x) of %d loops = %d, %d slots, %v; want %d, %d", pid, loops, l, len(found), ok, loop, slot)
				}
			}
		}
		if _, ok := k.Pack(loops, 0); ok {
			t.Errorf("%d loops: Pack takes one more", loops)
		}
	}
}

// As many loops as can be configured, and two more, are told apart, also in the 15 bits that there are among peers.
func TestKeysTellAllLoopsApart(t *testing.T) {
	const loops = 256 + 2
	for name, k := range map[string]*Keys{"alone": New(0, loops, rand.Reader), "among peers": New(PeerMax, loops, rand.Reader)} {
		seen := map[uint32]bool{}
		for loop := range loops {
			for slot := range uint32(64) {
				pid, ok := k.Pack(loop, slot)
				if l, s, found := k.Unpack(pid); !ok || !found || l != loop || !s.Has(slot) || seen[pid] {
					t.Fatalf("%s: Pack(%d, %d) = %#x, %v; Unpack: loop %d, %v; made before: %v", name, loop, slot, pid, ok, l, found, seen[pid])
				}
				seen[pid] = true
			}
		}
	}
}

func TestPackRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		loop int
		slot uint32
	}{{-1, 0}, {LoopsMax, 0}, {0, SlotsMax}, {0, 1<<32 - 1}} {
		if pid, ok := alone().Pack(c.loop, c.slot); ok {
			t.Errorf("Pack(%d, %d) = %#x", c.loop, c.slot, pid)
		}
	}
}

func TestUnpackRefusesForeignKeys(t *testing.T) {
	for _, pid := range []uint32{0, 1, 1<<slotBits - 1, 1 << slotBits, LoopsMax << slotBits, 1 << 31, 1<<31 | 1, 1<<32 - 1} {
		if l, s, ok := alone().Unpack(pid); ok {
			t.Errorf("Unpack(%#x) = %d, %v", pid, l, s)
		}
	}
	own, other := New(5, 2, rand.Reader), New(6, 2, rand.Reader)
	pid, _ := own.Pack(1, 2)
	if _, _, ok := other.Unpack(pid); ok {
		t.Error("another peer's key is taken for one's own")
	}
	if peer, foreign := other.Foreign(pid); peer != 5 || !foreign {
		t.Errorf("the key of peer 5 is that of %d, foreign %v", peer, foreign)
	}
	if _, foreign := own.Foreign(pid); foreign {
		t.Error("one's own key is foreign")
	}
	if _, foreign := alone().Foreign(pid); foreign {
		t.Error("without peers a key is foreign")
	}
	if _, _, ok := own.Unpack(pid | 3<<29); ok {
		t.Error("a loop that there is not")
	}
}

// The bytes are those of PgBouncer: client->cancel_key[1] and [2] hold the id, the two low bits of [7] how often the request may be passed
// on; the top bit of [0] is clear.
func TestKeyAmongPeersHasPgBouncersLayout(t *testing.T) {
	for _, id := range []uint16{1, 255, 256, 0x1234, PeerMax} {
		k := New(id, 3, rand.Reader)
		for slot := range uint32(300) {
			pid, _ := k.Pack(1, slot)
			key := append(binary.BigEndian.AppendUint32(nil, pid), Short(k.NewSecret(rand.Reader))...)
			if int(key[1])+int(key[2])<<8 != int(id) || key[0]&0x80 != 0 || key[7]&3 != 3 {
				t.Fatalf("peer %d, slot %d: key % x", id, slot, key)
			}
			if long := k.Long(pid, 7); long[3]&3 != 3 {
				t.Fatalf("long secret % x: no hops at the same place", long)
			}
		}
	}
}

// A request may be passed on three times, as PgBouncer's may, and opens at its end all the same.
func TestRequestMakesThreeHops(t *testing.T) {
	k := New(9, 3, rand.Reader)
	secret := k.NewSecret(rand.Reader)
	pid, _ := k.Pack(0, 1)
	long := k.Long(pid, secret)
	for _, sent := range [][]byte{Short(secret), long[:]} {
		presented := sent
		if Passed(presented) {
			t.Error("a request from the client has been passed on")
		}
		for hop := range 3 {
			next, ok := PassOn(presented)
			if !ok || !Passed(next) || !k.Same(sent, next) || !Passed(next) {
				t.Fatalf("hop %d: % x, %v", hop, next, ok)
			}
			presented = next
		}
		if _, ok := PassOn(presented); ok {
			t.Error("it goes on for ever")
		}
		presented = bytes.Clone(presented)
		presented[3] ^= 4
		if k.Same(sent, presented) {
			t.Error("another bit does not count")
		}
	}
	if !k.Equal(secret, Short(secret&^3)) || alone().Equal(secret, Short(secret&^3)) {
		t.Error("hops count among peers, or do not alone")
	}
}

func TestSecretIsDrawnFromTheSourceOnly(t *testing.T) {
	if got := alone().NewSecret(bytes.NewReader([]byte{1, 2, 3, 4, 5})); got != 0x01020304 {
		t.Errorf("secret %#x, want 0x1020304", got)
	}
	seen := map[uint32]bool{}
	for range 64 {
		seen[alone().NewSecret(rand.Reader)] = true
	}
	if len(seen) < 60 {
		t.Errorf("64 secrets, %d different", len(seen))
	}
	defer func() {
		if recover() == nil {
			t.Error("a source that fails gave a secret")
		}
	}()
	alone().NewSecret(iotest.ErrReader(errors.New("no randomness")))
}

func TestEqualTakesTheWholeSecretAndNothingElse(t *testing.T) {
	for presented, want := range map[string]bool{
		"\x01\x02\x03\x04":                 true,
		"\x01\x02\x03\x05":                 false,
		"\x00\x02\x03\x04":                 false,
		"\x01\x02\x03":                     false,
		"":                                 false,
		"\x01\x02\x03\x04\x00\x00\x00\x00": false,
	} {
		if got := alone().Equal(0x01020304, []byte(presented)); got != want {
			t.Errorf("Equal(%q) = %v", presented, got)
		}
	}
}

func TestLongSecretIsTheClientsAndTheProcessesOwn(t *testing.T) {
	s := alone()
	long := s.Long(7, 9)
	if long != s.Long(7, 9) {
		t.Error("it changes")
	}
	for what, other := range map[string][LongLen]byte{
		"another client": s.Long(8, 9), "another secret": s.Long(7, 8), "another process": alone().Long(7, 9),
	} {
		if other == long {
			t.Errorf("%s has the same", what)
		}
	}
	if !s.EqualLong(7, 9, long[:]) {
		t.Error("it does not open")
	}
	changed := long
	changed[31] ^= 1
	for what, presented := range map[string][]byte{
		"a changed bit": changed[:], "a part": long[:31], "more": append(long[:], 0), "the short one": {0, 0, 0, 9}, "nothing": nil,
	} {
		if s.EqualLong(7, 9, presented) {
			t.Errorf("%s opens", what)
		}
	}
}

func TestSlotThatWasGivenUpComesAgainLast(t *testing.T) {
	var turn Turn
	taken := map[uint32]bool{}
	next := func() uint32 {
		slot := turn.Next(func(slot uint32) bool { return taken[slot] })
		taken[slot] = true
		return slot
	}
	for want := range uint32(SlotsMax) {
		if got := next(); got != want {
			t.Fatalf("slot %d, want %d", got, want)
		}
		if want > 2 {
			delete(taken, want)
		}
	}
	if got := next(); got != 3 {
		t.Errorf("after the last slot comes %d, want the first that is free", got)
	}
}
