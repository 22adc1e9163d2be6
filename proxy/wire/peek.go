package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrTruncated reports a body that ends before a field that it must have.
var ErrTruncated = errors.New("message body is too short")

// cstring splits the NUL-terminated string at the start of p from what follows it.
func cstring(p []byte) (s, rest []byte, ok bool) {
	i := bytes.IndexByte(p, 0)
	if i < 0 {
		return nil, nil, false
	}
	return p[:i], p[i+1:], true
}

// PeekQuery returns the text of a Query. A body that is only a message's beginning gives what is there of it.
func PeekQuery(body []byte) []byte {
	text, _, ok := cstring(body)
	if !ok {
		return body
	}
	return text
}

// PeekParse returns the name and the text of a Parse; of a message's beginning, what is there of the text.
func PeekParse(body []byte) (name, text []byte, err error) {
	name, rest, ok := cstring(body)
	if !ok {
		return nil, nil, ErrTruncated
	}
	return name, PeekQuery(rest), nil
}

// PeekBind returns the names of the portal and of the statement that a Bind joins.
func PeekBind(body []byte) (portal, statement []byte, err error) {
	portal, rest, ok := cstring(body)
	if !ok {
		return nil, nil, ErrTruncated
	}
	statement, _, ok = cstring(rest)
	if !ok {
		return nil, nil, ErrTruncated
	}
	return portal, statement, nil
}

// PeekTarget returns what a Describe or a Close is about: 'S' and a statement's name, or 'P' and a portal's.
func PeekTarget(body []byte) (kind byte, name []byte, err error) {
	if len(body) == 0 {
		return 0, nil, ErrTruncated
	}
	name, _, ok := cstring(body[1:])
	if !ok {
		return 0, nil, ErrTruncated
	}
	return body[0], name, nil
}

// PeekTag returns the tag of a CommandComplete, such as "INSERT 0 1".
func PeekTag(body []byte) []byte { return PeekQuery(body) }

// PeekParameterStatus returns the name and the value of a ParameterStatus.
func PeekParameterStatus(body []byte) (name, value []byte, err error) {
	name, rest, ok := cstring(body)
	if !ok {
		return nil, nil, ErrTruncated
	}
	value, _, ok = cstring(rest)
	if !ok {
		return nil, nil, ErrTruncated
	}
	return name, value, nil
}

// PeekReadyForQuery returns the transaction status of a ReadyForQuery.
func PeekReadyForQuery(body []byte) (TxStatus, error) {
	if len(body) != 1 {
		return 0, ErrTruncated
	}
	return TxStatus(body[0]), nil
}

// Field codes of ErrorResponse and NoticeResponse (manual, "Error and Notice Message Fields").
const (
	FieldSeverity = 'V' // not localised; servers before 9.6 lack it
	FieldCode     = 'C'
	FieldMessage  = 'M'
	FieldDetail   = 'D'
	FieldHint     = 'H'
	FieldPosition = 'P' // in characters, from 1
	FieldRoutine  = 'R'
)

// PeekErrorField returns the field of that code in the body of an ErrorResponse or NoticeResponse, nil where it is absent.
func PeekErrorField(body []byte, field byte) []byte {
	for len(body) > 0 && body[0] != 0 {
		value, rest, ok := cstring(body[1:])
		if body[0] == field {
			if !ok {
				return body[1:]
			}
			return value
		}
		if !ok {
			return nil
		}
		body = rest
	}
	return nil
}

// ExchangeErrorField returns the body of an ErrorResponse or NoticeResponse with another value in the field of that code, or without the field
// where the value is empty. The body must be whole.
func ExchangeErrorField(body []byte, field byte, value string) []byte {
	out := make([]byte, 0, len(body)+len(value))
	for len(body) > 0 && body[0] != 0 {
		_, rest, ok := cstring(body[1:])
		switch {
		case !ok:
			return append(out, body...)
		case body[0] != field:
			out = append(out, body[:len(body)-len(rest)]...)
		case value != "":
			out = appendCString(append(out, field), value)
		}
		body = rest
	}
	return append(out, body...)
}

// Fatal reports whether an ErrorResponse announces that the server ends the connection.
func Fatal(body []byte) bool {
	v := PeekErrorField(body, FieldSeverity)
	if v == nil {
		v = PeekErrorField(body, 'S')
	}
	return string(v) == "FATAL" || string(v) == "PANIC"
}

// CallsLargeObject reports whether a FunctionCall is one of those by which drivers work on large objects: lo_open and its kin,
// by their fixed numbers in PostgreSQL's pg_proc.dat. They leave nothing that outlives their transaction.
func CallsLargeObject(body []byte) bool {
	if len(body) < 4 {
		return false
	}
	switch binary.BigEndian.Uint32(body) {
	case 715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172, 3457, 3458, 3459, 3460:
		return true
	}
	return false
}

// CallsSequence reports whether a FunctionCall is one of currval or lastval.
func CallsSequence(body []byte) bool {
	return len(body) >= 4 && (binary.BigEndian.Uint32(body) == 1575 || binary.BigEndian.Uint32(body) == 2559)
}

// PeekExecute returns the name of the portal that an Execute runs.
func PeekExecute(body []byte) (portal []byte, err error) {
	portal, _, ok := cstring(body)
	if !ok {
		return nil, ErrTruncated
	}
	return portal, nil
}

// PeekResultFormats returns how many format codes a Bind has for the columns of its result: none, one for all of them, or one for each.
func PeekResultFormats(body []byte) (n int, err error) {
	_, rest, err := parametersOf(body)
	if err != nil {
		return 0, err
	}
	if _, rest, err = peekValues(rest); err != nil {
		return 0, err
	}
	if len(rest) < 2 {
		return 0, ErrTruncated
	}
	return int(binary.BigEndian.Uint16(rest)), nil
}

// EachColumn calls f with what tells the columns of a RowDescription from others, in pieces: of each the name, and its type with length and
// modifier. Where it comes from, and in which format, is left out.
func EachColumn(body []byte, f func(piece []byte)) error {
	const (
		origin = 6 // table and number
		kind   = 10
		format = 2
	)
	if len(body) < 2 {
		return ErrTruncated
	}
	n := binary.BigEndian.Uint16(body)
	for body = body[2:]; n > 0; n-- {
		name, rest, ok := cstring(body)
		if !ok || len(rest) < origin+kind+format {
			return ErrTruncated
		}
		f(body[:len(name)+1])
		f(rest[origin : origin+kind])
		body = rest[origin+kind+format:]
	}
	return nil
}

// PeekParameters returns the values of a Bind's parameters, nil for NULL. They are parts of body.
func PeekParameters(body []byte) (values [][]byte, err error) {
	if _, body, err = parametersOf(body); err != nil {
		return nil, err
	}
	values, _, err = peekValues(body)
	return values, err
}

// PeekTexts is PeekParameters for a Bind whose parameters all are in the text format. Of any other there are none.
func PeekTexts(body []byte) (values [][]byte, err error) {
	formats, body, err := parametersOf(body)
	if err != nil || len(bytes.Trim(formats, "\x00")) > 0 {
		return nil, err
	}
	values, _, err = peekValues(body)
	return values, err
}

// parametersOf are the formats of a Bind's parameters, two bytes each, and the part that begins with the parameters' number.
func parametersOf(body []byte) (formats, rest []byte, err error) {
	for range 2 {
		var ok bool
		if _, body, ok = cstring(body); !ok {
			return nil, nil, ErrTruncated
		}
	}
	if len(body) < 2 {
		return nil, nil, ErrTruncated
	}
	n := 2 * int(binary.BigEndian.Uint16(body))
	if body = body[2:]; len(body) < n {
		return nil, nil, ErrTruncated
	}
	return body[:n], body[n:], nil
}
