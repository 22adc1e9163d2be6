package livepage

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// seconds writes a time with three digits at most and its unit.
func seconds(s float64) string {
	switch {
	case s <= 0:
		return "0 s"
	case s < 0.9995e-3:
		return digits(s*1e6) + " µs"
	case s < 0.9995:
		return digits(s*1e3) + " ms"
	case s < 60:
		return digits(s) + " s"
	}
	whole := int(s)
	switch {
	case whole < 3600:
		return fmt.Sprintf("%d min %d s", whole/60, whole%60)
	case whole < 86400:
		return fmt.Sprintf("%d h %d min", whole/3600, whole%3600/60)
	}
	return fmt.Sprintf("%d d %d h", whole/86400, whole%86400/3600)
}

// perhaps is seconds, or a dash where there is nothing to measure.
func perhaps(s *float64) string {
	if s == nil {
		return "–"
	}
	return seconds(*s)
}

// digits writes a number from 0 to 999 with three digits at most.
func digits(n float64) string {
	switch {
	case n < 9.95:
		return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
	default:
		return strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	}
}

// rate writes how often something happens in a second.
func rate(n float64) string {
	if n > 0 && n < 9.95 {
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return grouped(int64(math.Round(n)))
}

// grouped writes a number with a thin gap at each thousand.
func grouped[T int | int64 | uint32 | uint64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// number writes how many there are of something: of one word, or of one for one and one for many.
func number(n int, words ...string) string {
	word := words[0]
	switch {
	case n == 1:
	case len(words) > 1:
		word = words[1]
	default:
		word += "s"
	}
	return grouped(n) + " " + word
}
