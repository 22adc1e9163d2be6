package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span as it is written in the file: "30s", "2m", "1h30m". 0 usually means off.
type Duration time.Duration

const second = Duration(time.Second)

// durationMax bounds what may be written, so that a sum of a clock and a setting never overflows.
const durationMax = Duration(10 * 365 * 24 * time.Hour)

// inUnits is a duration as it should be written. One that time.ParseDuration refuses all the same is too long for it: 292 years and more.
var inUnits = regexp.MustCompile(`^([0-9]+(\.[0-9]*)?(h|m|s|ms|us|µs|ns))+$`)

// parseDuration reads "1h30m", "15s", "250ms". Signs and bare numbers are refused, since the reader of a file cannot
// see what unit was meant; "0" alone is fine.
func parseDuration(text string) (Duration, error) {
	if text == "" {
		return 0, errors.New(`want a duration such as "30s"`)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		if strings.Trim(text, ".0123456789") == "" {
			return 0, fmt.Errorf(`want a unit after the number: "%ss" for seconds`, text)
		}
		if inUnits.MatchString(text) {
			return 0, fmt.Errorf("must be at most %s", durationMax)
		}
		return 0, errors.New(`want a duration with the units h, m, s, ms, such as "1h30m" or "15s"`)
	}
	if d < 0 || text[0] == '+' || text[0] == '-' {
		return 0, errors.New("want a duration without a sign")
	}
	if Duration(d) > durationMax {
		return 0, fmt.Errorf("must be at most %s", durationMax)
	}
	return Duration(d), nil
}

// String writes it as parseDuration reads it, without the empty tail that time.Duration prints: 2m, not 2m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-len("0s")]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-len("0m")]
	}
	return s
}

// MarshalText writes it as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads it as parseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Size is a number of bytes as it is written in the file: "64KiB".
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// parseSize reads a whole number with a unit: "512B", "64KiB", "16MiB", "1GiB". Decimal units are refused, since
// half of the world's files mean 1024 with them; "0" alone is fine.
func parseSize(text string) (Size, error) {
	if text == "0" {
		return 0, nil
	}
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	if err != nil {
		return 0, errors.New(`want a size such as "64KiB"`)
	}
	for _, u := range sizeUnits {
		if text[digits:] != u.name {
			continue
		}
		if n > math.MaxInt64/u.bytes {
			return 0, errors.New("must be less than 8388608 TiB")
		}
		return Size(n * u.bytes), nil
	}
	return 0, errors.New(`want one of the units B, KiB, MiB, GiB, such as "64KiB"`)
}

// String writes it as parseSize reads it, in the largest unit that leaves a whole number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0"
}

// MarshalText writes it as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it as parseSize does.
func (s *Size) UnmarshalText(text []byte) error {
	v, err := parseSize(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// FileMode is a file's permission bits, written as octal digits in quotes: "0770".
type FileMode uint32

// parseFileMode reads three octal digits with an optional leading 0. Set-user-ID and the like make no sense on a
// socket and are refused.
func parseFileMode(text string) (FileMode, error) {
	v, err := strconv.ParseUint(text, 8, 32)
	if err != nil || v > 0o777 || len(text) < 3 || len(text) > 4 {
		return 0, errors.New(`want octal permission bits such as "0770"`)
	}
	return FileMode(v), nil
}

func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }
