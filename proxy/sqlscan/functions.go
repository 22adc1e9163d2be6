package sqlscan

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"weir/proxy/ascii"
)

// Functions are those of which the operator has said what they do to a session. It does not change and may be shared; nil has none.
type Functions struct {
	opaque map[string]bool // by name, with the schema and without
	clean  map[string]bool
}

// CleanCall is CALL of procedures only of which the operator says that they leave nothing. Scan does not know it.
const CleanCall Effects = 1 << 28

// NewFunctions takes names as SQL writes them, with or without a schema; nil if there are none. An opaque name without a schema stands for
// the function in any, and one with a schema for calls without, too; a clean one only for itself.
func NewFunctions(opaque, clean []string) *Functions {
	if len(opaque)+len(clean) == 0 {
		return nil
	}
	f := &Functions{opaque: map[string]bool{}, clean: map[string]bool{}}
	for _, name := range opaque {
		name = strings.ToLower(name)
		f.opaque[name[strings.LastIndexByte(name, '.')+1:]] = true
	}
	for _, name := range clean {
		f.clean[strings.ToLower(name)] = true
	}
	return f
}

// Effects returns what a text does that does e as far as it shows: it calls one of these functions, or calls procedures only that leave
// nothing.
func (f *Functions) Effects(text []byte, mode Mode, e Effects) Effects {
	if f == nil || e&Opaque != 0 {
		return e
	}
	l := newLexer(text, mode)
	var space [128]byte
	calls, clean := false, len(f.clean) > 0
	for {
		name, procedure, kind := nextCall(&l, space[:0])
		switch {
		case kind == tokenUnread:
			return e | Opaque
		case kind == tokenEnd:
			if calls && clean {
				return e&^Call | CleanCall
			}
			return e
		case f.opaque[string(name[bytes.LastIndexByte(name, '.')+1:])]:
			return e | Opaque
		case procedure:
			calls, clean = true, clean && f.clean[string(name)]
		}
	}
}

// nextCall goes on to the next name that an opening bracket follows. It appends the name to dst, in lower case, and reports whether CALL stands
// before it. Where the text ends it returns the kind of the last token.
func nextCall(l *lexer, dst []byte) (name []byte, procedure bool, kind tokenKind) {
	name = dst
	dotted := false
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd, t.kind == tokenUnread:
			return nil, false, t.kind
		case t.kind == tokenWord, t.kind == tokenName:
			if !dotted {
				procedure = string(name) == "call"
				name = dst
			}
			name = appendUnquoted(name, l.text[t.from:t.to])
			dotted = false
		case t.kind == tokenByte && t.c == '.' && len(name) > 0:
			name = append(name, '.')
			dotted = true
		case t.kind == tokenByte && t.c == '(' && len(name) > 0:
			return name, procedure, t.kind
		default:
			name, dotted, procedure = dst, false, false
		}
	}
}

// Names gives yield each name in a text that may be a function's, a table's or the like, in lower case, with its schema where the text names it, and
// whether a bracket follows. What stands after the first thing that cannot be read is left out.
func Names(text []byte, mode Mode, yield func(name string, called bool)) {
	l := newLexer(text, mode)
	var name []byte
	dotted := false
	for {
		t := l.next()
		word := t.kind == tokenWord || t.kind == tokenName
		dot := t.kind == tokenByte && t.c == '.'
		if len(name) > 0 && !dot && !(word && dotted) {
			yield(string(name), t.kind == tokenByte && t.c == '(')
			name = name[:0]
		}
		switch {
		case t.kind == tokenEnd, t.kind == tokenUnread:
			return
		case word:
			name = appendUnquoted(name, text[t.from:t.to])
		case dot && len(name) > 0:
			name = append(name, '.')
		}
		dotted = dot
	}
}

// CleanNames are the functions of which the operator has said that they leave nothing, sorted.
func (f *Functions) CleanNames() []string {
	if f == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(f.clean))
}

// appendUnquoted appends a name in lower case, as Functions compares names.
func appendUnquoted(dst, name []byte) []byte {
	for _, c := range name {
		if c == '"' {
			continue
		}
		dst = append(dst, ascii.Lower(c))
	}
	return dst
}
