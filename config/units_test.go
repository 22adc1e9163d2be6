package config

import (
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  time.Duration
		print string
	}{
		{"30s", 30 * time.Second, "30s"},
		{"120s", 2 * time.Minute, "2m"},
		{"2m0s", 2 * time.Minute, "2m"},
		{"1h", time.Hour, "1h"},
		{"1h0m5s", time.Hour + 5*time.Second, "1h0m5s"},
		{"10m", 10 * time.Minute, "10m"},
		{"250ms", 250 * time.Millisecond, "250ms"},
		{"0", 0, "0s"},
		{"0s", 0, "0s"},
		{"1.5s", 1500 * time.Millisecond, "1.5s"},
		{"87600h", 87600 * time.Hour, "87600h"},
	} {
		got, err := parseDuration(tt.text)
		if err != nil || time.Duration(got) != tt.want || got.String() != tt.print {
			t.Errorf("%q: got %v (%v)", tt.text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-5s", "+5s", "5 s", "1d", "s", "87600h1ns", "999999999h", "1h-5m"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// A hint must be of use: only a number lacks nothing but its unit, and what has its units is too long.
func TestHintsFitTheDuration(t *testing.T) {
	const unit, units, shorter = "want a unit after", "want a duration with the units", "must be at most 87600h"
	for text, hint := range map[string]string{
		"5": unit, "0.5": unit, "-5": units, "inf": units, "nan": units, "0x10": units, "1e3": units, "1d": units, "s": units,
		"87600h1s": shorter, "9999999h": shorter, "99999999999999999999s": shorter,
	} {
		if _, err := parseDuration(text); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v, want %q", text, err, hint)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  Size
		print string
	}{
		{"64KiB", 64 << 10, "64KiB"},
		{"1GiB", 1 << 30, "1GiB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"0", 0, "0"},
		{"0B", 0, "0"},
		{"1000B", 1000, "1000B"},
		{"8589934591GiB", 8589934591 << 30, "8589934591GiB"},
	} {
		got, err := parseSize(tt.text)
		if err != nil || got != tt.want || got.String() != tt.print {
			t.Errorf("%q: got %v (%v)", tt.text, got, err)
		}
	}
	for _, text := range []string{"", "64", "64KB", "64kib", "KiB", "-1B", "1.5MiB", "8589934592GiB", "99999999999999999999B", "1 KiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestFileModes(t *testing.T) {
	for text, want := range map[string]FileMode{"0777": 0o777, "770": 0o770, "0000": 0} {
		if got, err := parseFileMode(text); err != nil || got != want {
			t.Errorf("%q: got %v (%v)", text, got, err)
		}
	}
	for _, text := range []string{"", "7", "77", "1777", "0o777", "888", "-777", "00777", "+777", "0x1F"} {
		if got, err := parseFileMode(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// What is printed is read back as the same.
func FuzzUnits(f *testing.F) {
	for _, seed := range []string{"30s", "1h0m0s", "0", "64KiB", "1.5h", "9223372036854775807B", "0777", "1h30m", "-1ns", "1µs"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseDuration(text); err == nil {
			again, err := parseDuration(d.String())
			if err != nil || again != d || d < 0 || d > durationMax {
				t.Errorf("%q is %v, and that is %v (%v)", text, d, again, err)
			}
		}
		if s, err := parseSize(text); err == nil {
			if again, err := parseSize(s.String()); err != nil || again != s || s < 0 {
				t.Errorf("%q is %v, and that is %v (%v)", text, s, again, err)
			}
		}
		if m, err := parseFileMode(text); err == nil {
			if again, err := parseFileMode(m.String()); err != nil || again != m || m > 0o777 {
				t.Errorf("%q is %v, and that is %v (%v)", text, m, again, err)
			}
		}
	})
}
