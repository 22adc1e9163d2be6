package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestStartupIsReadAsItWasWritten(t *testing.T) {
	params := []Param{{"user", "app"}, {"database", "shop"}, {"options", ""}}
	for _, minor := range []uint16{0, 2} {
		packet := AppendStartup(nil, minor, params)
		got, err := ParseStartup(packet[4:])
		if err != nil || got.Major != 3 || got.Minor != minor || !slices.Equal(got.Params, params) || int(packet[3]) != len(packet) {
			t.Errorf("3.%d: %q is %+v, %v", minor, packet, got, err)
		}
	}
}

func TestMessagesToAServer(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"password": {string(AppendPassword(nil, "se\x00cret")), "p\x00\x00\x00\x07se\x00"}, // cut: a NUL would end the message
		"initial":  {string(AppendSASLInitialResponse(nil, "M", "n,,x")), "p\x00\x00\x00\x0eM\x00\x00\x00\x00\x04n,,x"},
		"response": {string(AppendSASLResponse(nil, "c=x")), "p\x00\x00\x00\x07c=x"},
		"bind":     {string(AppendBind(nil, []string{"ab"})), "B\x00\x00\x00\x12\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02ab\x00\x00"},
		"execute":  {string(AppendExecute(nil)), "E\x00\x00\x00\x09\x00\x00\x00\x00\x00"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestCancelKeyIsAsLongAsItsProtocolAllows(t *testing.T) {
	for _, c := range []struct {
		size  int
		minor uint16
		ok    bool
	}{{4, 0, true}, {4, 2, true}, {256, 2, true}, {32, 2, true}, {3, 0, false}, {3, 2, false}, {5, 0, false}, {256, 0, false}, {257, 2, false}, {0, 2, false}} {
		secret := bytes.Repeat([]byte{7}, c.size)
		pid, got, err := PeekBackendKeyData(append([]byte{0, 0, 1, 2}, secret...), c.minor)
		if (err == nil) != c.ok || c.ok && (pid != 258 || !bytes.Equal(got, secret)) {
			t.Errorf("%d bytes in 3.%d: %d, %q, %v", c.size, c.minor, pid, got, err)
		}
	}
	if _, _, err := PeekBackendKeyData([]byte{0, 0, 1}, 2); err == nil {
		t.Error("a key without a process")
	}
}

func TestServerMayOfferAnOlderMinorVersionOnly(t *testing.T) {
	for _, c := range []struct {
		body  string
		asked uint16
		want  string // "" is 3.0
	}{
		{"\x00\x03\x00\x00\x00\x00\x00\x00", 2, ""},
		{"\x00\x03\x00\x02\x00\x00\x00\x00", 2, "offers protocol 3.2"},
		{"\x00\x03\x00\x00\x00\x00\x00\x00", 0, "offers protocol 3.0"},
		{"\x00\x02\x00\x00\x00\x00\x00\x00", 2, "offers protocol 2.0"},
		{"\x00\x00\x00\x00\x00\x00\x00\x00", 2, "offers protocol 0.0"},
		{"\x00\x03\x00\x00\x00\x00\x00\x01_pq_.x\x00", 2, "refuses 1 options"},
		{"\x00\x03\x00\x00\xff\xff\xff\xff", 2, "options"},
		{"\x00\x03\x00\x00\x00\x00\x00\x00x", 2, "options"},
		{"\x00\x03\x00\x00", 2, ErrTruncated.Error()},
	} {
		minor, err := PeekNegotiateVersion([]byte(c.body), c.asked)
		if c.want == "" && (err != nil || minor != 0) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %d, %v, want %q", c.body, minor, err, c.want)
		}
	}
}

func TestRowKeepsNullApartFromEmpty(t *testing.T) {
	row, err := PeekRow([]byte("\x00\x03\x00\x00\x00\x01a\xff\xff\xff\xff\x00\x00\x00\x00"))
	if err != nil || len(row) != 3 || string(row[0]) != "a" || row[1] != nil || row[2] == nil || len(row[2]) != 0 {
		t.Errorf("%q, %v", row, err)
	}
	for _, bad := range []string{"", "\x00", "\x00\x01", "\x00\x01\xff\xff\xff\xfe", "\x00\x01\x00\x00\x00\x05abcd", "\x00\x00x", "\xff\xff\xff\xff\xff\xff"} {
		if row, err := PeekRow([]byte(bad)); err == nil {
			t.Errorf("%q is a row: %q", bad, row)
		}
	}
}

func FuzzServerLogin(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x01\xff\xff\xff\xfe"))
	f.Fuzz(func(_ *testing.T, body []byte) {
		_, _, _ = PeekAuthentication(body)
		for _, minor := range []uint16{0, MaxMinor} {
			_, _, _ = PeekBackendKeyData(body, minor)
			_, _ = PeekNegotiateVersion(body, minor)
		}
		_, _ = PeekRow(body)
	})
}
