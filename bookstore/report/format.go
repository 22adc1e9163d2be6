package report

import (
	"fmt"
	"strconv"
	"strings"
)

// percent never says 0% or 100% of what is neither.
func percent(part, all int64) string {
	p := float64(part) / float64(max(all, 1)) * 100
	switch {
	case part > 0 && p < 1:
		return "<1%"
	case part < all && p > 99:
		return ">99%"
	}
	return fmt.Sprintf("%.0f%%", p)
}

// count writes 12345 as 12,345.
func count[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func rate(perSecond float64) string { return count(int64(perSecond + 0.5)) }

// latency writes milliseconds.
func latency(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 9999.5:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

func size(bytes int64) string { return count((bytes+mib/2)/mib) + " MiB" }

const mib = 1 << 20

// plural is "1 client" or "2 clients".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		return count(n) + " " + noun + "es"
	}
	return count(n) + " " + noun + "s"
}

// lineMax is the width of the tables, so of the words too.
const lineMax = 100

// wrap breaks a text into lines.
func wrap(text string, width int) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case line+1+len(word) > width:
			b.WriteByte('\n')
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}
