package sqlscan

import "bytes"

// TraceParent is the span that a text says it belongs to (W3C Trace Context, "traceparent").
type TraceParent struct {
	TraceID [16]byte // zero: there is none
	SpanID  [8]byte
	Sampled bool
}

// Known reports whether there is one.
func (t *TraceParent) Known() bool { return t.TraceID != [16]byte{} }

const (
	// commentMax bounds the comment that is looked at, in bytes: a sqlcommenter's has a handful of short pairs.
	commentMax = 1024
	// traceParentLen is the length of version 00: 2 + 32 + 16 + 2 digits and the dashes between them.
	traceParentLen = 55
)

// ParseTraceParent finds the traceparent of the comment that a text ends with, or begins with, as sqlcommenter writes it:
//
//	select 1 /*route='%2Forders',traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/
//
// It does not allocate, and looks at no more than commentMax bytes at either end.
func ParseTraceParent(text []byte) (TraceParent, bool) {
	end := bytes.TrimRight(text[max(0, len(text)-commentMax):], " \t\r\n;\x00")
	if body, ok := bytes.CutSuffix(end, []byte("*/")); ok {
		if at := bytes.LastIndex(body, []byte("/*")); at >= 0 {
			if t, ok := traceParentIn(body[at+2:]); ok {
				return t, true
			}
		}
	}
	begin := bytes.TrimLeft(text[:min(len(text), commentMax)], " \t\r\n;")
	if body, ok := bytes.CutPrefix(begin, []byte("/*")); ok {
		if end := bytes.Index(body, []byte("*/")); end >= 0 {
			return traceParentIn(body[:end])
		}
	}
	return TraceParent{}, false
}

// traceParentIn reads the pairs of a comment. Their values are quoted, and have no quotes and commas of their own: these are encoded.
func traceParentIn(comment []byte) (TraceParent, bool) {
	for len(comment) > 0 {
		var pair []byte
		pair, comment, _ = bytes.Cut(comment, []byte(","))
		pair = bytes.TrimSpace(pair)
		value, ok := bytes.CutPrefix(pair, []byte("traceparent='"))
		if !ok {
			continue
		}
		value, ok = bytes.CutSuffix(value, []byte("'"))
		if !ok {
			return TraceParent{}, false
		}
		return readTraceParent(value)
	}
	return TraceParent{}, false
}

// readTraceParent reads VERSION-TRACE-SPAN-FLAGS. A version to come may have more after that.
func readTraceParent(v []byte) (t TraceParent, ok bool) {
	if len(v) < traceParentLen || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return TraceParent{}, false
	}
	var version, flags [1]byte
	if !unhex(version[:], v[:2]) || version[0] == 0xff || !unhex(t.TraceID[:], v[3:35]) || !unhex(t.SpanID[:], v[36:52]) || !unhex(flags[:], v[53:55]) {
		return TraceParent{}, false
	}
	if rest := v[traceParentLen:]; len(rest) > 0 && (version[0] == 0 || rest[0] != '-') {
		return TraceParent{}, false
	}
	if t.TraceID == [16]byte{} || t.SpanID == [8]byte{} {
		return TraceParent{}, false
	}
	t.Sampled = flags[0]&1 != 0
	return t, true
}

// unhex reads digits, which are in lower case there.
func unhex(dst, digits []byte) bool {
	for i := range dst {
		high, low := hexDigit(digits[2*i]), hexDigit(digits[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}
