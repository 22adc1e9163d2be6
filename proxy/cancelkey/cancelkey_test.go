package cancelkey

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"testing/iotest"
)

func TestPackAndUnpackAreInverse(t *testing.T) {
	seen := map[uint32]bool{}
	for _, loop := range []int{0, 1, 63, LoopsMax - 1} {
		for _, slot := range []uint32{0, 1, 4095, 1 << 20, SlotsMax - 1} {
			pid, ok := Pack(loop, slot)
			if !ok {
				t.Fatalf("Pack(%d, %d) refused", loop, slot)
			}
			if pid == 0 || pid>>31 != 0 {
				t.Errorf("Pack(%d, %d) = %#x; want a positive int32", loop, slot, pid)
			}
			if seen[pid] {
				t.Errorf("Pack(%d, %d) = %#x, which is another client's", loop, slot, pid)
			}
			seen[pid] = true
			l, s, ok := Unpack(pid)
			if !ok || l != loop || s != slot {
				t.Errorf("Unpack(%#x) = %d, %d, %v; want %d, %d", pid, l, s, ok, loop, slot)
			}
		}
	}
}

func TestPackRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		loop int
		slot uint32
	}{{-1, 0}, {LoopsMax, 0}, {0, SlotsMax}, {0, 1<<32 - 1}} {
		if pid, ok := Pack(c.loop, c.slot); ok {
			t.Errorf("Pack(%d, %d) = %#x", c.loop, c.slot, pid)
		}
	}
}

func TestUnpackRefusesForeignKeys(t *testing.T) {
	for _, pid := range []uint32{0, 1 << slotBits, (LoopsMax - 1) << slotBits, 1 << 31, 1<<31 | 1, 1<<32 - 1} {
		if l, s, ok := Unpack(pid); ok {
			t.Errorf("Unpack(%#x) = %d, %d", pid, l, s)
		}
	}
}

func TestSecretIsDrawnFromTheSourceOnly(t *testing.T) {
	if got := NewSecret(bytes.NewReader([]byte{1, 2, 3, 4, 5})); got != 0x01020304 {
		t.Errorf("secret %#x, want 0x1020304", got)
	}
	seen := map[uint32]bool{}
	for range 64 {
		seen[NewSecret(rand.Reader)] = true
	}
	if len(seen) < 60 {
		t.Errorf("64 secrets, %d different", len(seen))
	}
	defer func() {
		if recover() == nil {
			t.Error("a source that fails gave a secret")
		}
	}()
	NewSecret(iotest.ErrReader(errors.New("no randomness")))
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
		if got := Equal(0x01020304, []byte(presented)); got != want {
			t.Errorf("Equal(%q) = %v", presented, got)
		}
	}
}

func TestLongSecretIsTheClientsAndTheProcessesOwn(t *testing.T) {
	s := NewStretcher(rand.Reader)
	long := s.Long(7, 9)
	if long != s.Long(7, 9) {
		t.Error("it changes")
	}
	for what, other := range map[string][LongLen]byte{
		"another client": s.Long(8, 9), "another secret": s.Long(7, 8), "another process": NewStretcher(rand.Reader).Long(7, 9),
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
