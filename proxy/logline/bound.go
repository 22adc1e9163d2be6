package logline

import (
	"fmt"
	"log/slog"
	"unicode"
	"unicode/utf8"
)

// Bounds of one value, in bytes as they are written: a byte that has to be escaped counts for what it becomes.
const (
	// nameMax is for what a client calls itself, its user and its database. PostgreSQL's own names end after 63 bytes
	// (NAMEDATALEN); a pool's name is two of them.
	nameMax = 128
	// valueMax is for all else, such as errors, which quote names and what a server said.
	valueMax = 512
)

// names are the keys of what clients choose.
var names = map[string]bool{"user": true, "db": true, "pool": true, "app": true}

// ellipsis stands for what was cut off.
const ellipsis = "…"

// bounded cuts a value to its bound. It is a slog.HandlerOptions.ReplaceAttr.
func bounded(_ []string, a slog.Attr) slog.Attr {
	limit := valueMax
	if names[a.Key] {
		limit = nameMax
	}
	switch a.Value.Kind() {
	case slog.KindDuration: // slog's JSON has it in nanoseconds
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindString:
		if s := a.Value.String(); len(s) > limit/escapedMax {
			a.Value = slog.StringValue(shortened(s, limit))
		}
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			a.Value = slog.StringValue(shortened(v.Error(), limit))
		case fmt.Stringer:
			a.Value = slog.StringValue(shortened(v.String(), limit))
		}
	default:
	}
	return a
}

// escapedMax is how many bytes one byte may become: \u0001 in JSON.
const escapedMax = 6

// shortened is s, cut where it would be longer than limit bytes in the log.
func shortened(s string, limit int) string {
	written := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		written += cost(r, n)
		if written > limit {
			return s[:i] + ellipsis
		}
		i += n
	}
	return s
}

// cost is at least how many bytes slog's handlers write for a rune of n bytes.
func cost(r rune, n int) int {
	switch {
	case r == utf8.RuneError && n <= 1, r < ' ':
		return escapedMax
	case r == '"' || r == '\\':
		return 2
	case unicode.IsPrint(r):
		return n
	case r > 0xffff:
		return len(`\U0010ffff`)
	}
	return escapedMax
}
