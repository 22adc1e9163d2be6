package sqlscan

import (
	"encoding/hex"
	"strings"
	"testing"
)

const aTraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceParentStandsInACommentAtAnEnd(t *testing.T) {
	for text, want := range map[string]bool{
		"select 1 /*traceparent='" + aTraceParent + "'*/":                                      true,
		"select 1 /*traceparent='" + aTraceParent + "'*/ ; \n":                                 true,
		"select 1\n/*action='%2Fa',traceparent='" + aTraceParent + "',tracestate='a%3Db'*/":    true,
		"/*traceparent='" + aTraceParent + "'*/ select 1":                                      true,
		"/* other */ select 1 /* traceparent='" + aTraceParent + "' */":                        true,
		"/*traceparent='" + aTraceParent + "'*/ select 1 /* other */":                          true,
		"select 1 /*traceparent='cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x'*/": true, // of a version to come

		"select 1": false,
		"":         false,
		"/*":       false,
		"*/":       false,
		"/*/":      false,
		"select 'traceparent=''" + aTraceParent + "'''":                                           false,
		"select $$/*traceparent='" + aTraceParent + "'*/$$":                                       false,
		"select 1 /*xtraceparent='" + aTraceParent + "'*/":                                        false,
		"select 1 /*traceparent=" + aTraceParent + "*/":                                           false,
		"select 1 /*traceparent='" + strings.ToUpper(aTraceParent) + "'*/":                        false,
		"select 1 /*traceparent='" + aTraceParent + "-x'*/":                                       false, // version 00 has no more
		"select 1 /*traceparent='ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/":      false,
		"select 1 /*traceparent='00-00000000000000000000000000000000-00f067aa0ba902b7-01'*/":      false,
		"select 1 /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01'*/":      false,
		"select 1 /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01*/":       false,
		"select 1 /*traceparent='" + aTraceParent + "'," + strings.Repeat("x", commentMax) + "*/": false,
	} {
		got, ok := ParseTraceParent([]byte(text))
		if ok != want {
			t.Errorf("%q: found %t, want %t", text, ok, want)
		}
		if ok && (hex.EncodeToString(got.TraceID[:]) != aTraceParent[3:35] || hex.EncodeToString(got.SpanID[:]) != aTraceParent[36:52] || !got.Sampled) {
			t.Errorf("%q: got %+v", text, got)
		}
	}
	if got, ok := ParseTraceParent([]byte("/*traceparent='" + aTraceParent[:54] + "0'*/ select 1")); !ok || got.Sampled {
		t.Errorf("not sampled: got %+v %t", got, ok)
	}
}

func TestLookingForATraceParentDoesNotAllocate(t *testing.T) {
	text := []byte(strings.Repeat("select 1; ", 100) + "/*a='b',traceparent='" + aTraceParent + "'*/")
	if n := testing.AllocsPerRun(100, func() { ParseTraceParent(text) }); n > 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// FuzzTraceParent: what is found stands in the text, letter for letter, and is no zero.
func FuzzTraceParent(f *testing.F) {
	f.Add([]byte("select 1 /*traceparent='" + aTraceParent + "'*/"))
	f.Add([]byte("/*a='b',traceparent='" + aTraceParent + "'*/ select 1 /**/"))
	f.Add([]byte("/*/*traceparent='cc" + aTraceParent[2:] + "-'*/;"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := ParseTraceParent(text)
		if ok != got.Known() {
			t.Fatalf("found %t, and %+v", ok, got)
		}
		if ok && !strings.Contains(string(text), hex.EncodeToString(got.TraceID[:])+"-"+hex.EncodeToString(got.SpanID[:])) {
			t.Fatalf("%+v stands nowhere", got)
		}
	})
}
