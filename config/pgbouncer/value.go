package pgbouncer

import (
	"math"
	"strconv"
	"strings"
	"time"

	"weir/config"
)

// kind is how a setting's text is read.
type kind uint8

const (
	kindText kind = iota
	kindInt
	kindUint
	kindSeconds // with decimals
	kindEnum    // in any letter case
)

// value is a setting's text and what it says.
type value struct {
	text    string
	number  int             // of an int or uint; of an enum, the word's place in its list
	seconds config.Duration // of seconds
	line    *Line           // where it stands; nil: the default
}

func (v value) on() bool { return v.number != 0 }

// shown is the value as SHOW CONFIG shows it.
func (v value) shown(k kind, words []string) string {
	switch {
	case k == kindInt, k == kindUint:
		return strconv.Itoa(v.number)
	case v.text == "":
		return ""
	case k == kindSeconds:
		return strconv.FormatFloat(time.Duration(v.seconds).Seconds(), 'f', -1, 64)
	case k == kindEnum:
		return words[v.number]
	}
	return v.text
}

// parse reads a text of a kind; False: PgBouncer would refuse it, too.
func parse(k kind, words []string, text string) (value, bool) {
	v := value{text: text}
	var ok bool
	switch k {
	case kindInt, kindUint:
		v.number, ok = parseInt(text)
		ok = ok && (k == kindInt || v.number >= 0)
	case kindSeconds:
		v.seconds, ok = parseSeconds(text)
	case kindEnum:
		for i, w := range words {
			if strings.EqualFold(w, text) {
				v.number, ok = i, true
			}
		}
	default:
		ok = true
	}
	return v, ok
}

// parseInt is strtol with base 0 and nothing after the number: decimal, 0x and hexadecimal, 0 and octal.
func parseInt(text string) (int, bool) {
	digits := strings.TrimLeft(text, blanks)
	sign := ""
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		sign, digits = strings.Trim(digits[:1], "+"), digits[1:]
	}
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X"):
		base, digits = 16, digits[2:]
	case strings.HasPrefix(digits, "0"):
		base = 8
	}
	if strings.ContainsAny(digits, "+-_") {
		return 0, false
	}
	n, err := strconv.ParseInt(sign+digits, base, 64)
	return int(n), err == nil
}

// leadingInt is atoi, which the keys of [databases], [users] and [peers] are read with: what follows the number is ignored.
func leadingInt(text string) int {
	text = strings.TrimLeft(text, blanks)
	end := 0
	if text != "" && (text[0] == '-' || text[0] == '+') {
		end = 1
	}
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(strings.TrimPrefix(text[:end], "+"), 10, 32)
	return int(n)
}

// secondsMax bounds a time, as config does: ten years.
const secondsMax = 10 * 365 * 24 * 3600

func parseSeconds(text string) (config.Duration, bool) {
	if strings.ContainsAny(text, "_") { // Go's, not C's
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.TrimLeft(text, blanks), 64)
	if err != nil || f < 0 || math.IsNaN(f) {
		return 0, false
	}
	return seconds(f), true
}

// seconds makes a time of a number of them, rounded to microseconds as in PgBouncer.
func seconds(f float64) config.Duration {
	return config.Duration(math.Trunc(min(f, secondsMax)*1e6)) * config.Duration(time.Microsecond)
}
