package console

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// Kind is the type of a column.
type Kind uint8

// The kinds. Each is what PgBouncer's columns have.
const (
	Text    Kind = iota // text
	Int                 // int4
	Big                 // int8
	Numeric             // numeric, whole numbers here
	Bool                // boolean; PgBouncer has none
)

// oid and size are as RowDescription has them: pg_type.dat in PostgreSQL's src/include/catalog.
func (k Kind) oid() uint32 { return [...]uint32{25, 23, 20, 1700, 16}[k] }

func (k Kind) size() int16 { return [...]int16{-1, 4, 8, -1, 1}[k] }

// String is the type's name.
func (k Kind) String() string { return [...]string{"text", "int4", "int8", "numeric", "bool"}[k] }

// The formats of values.
const (
	formatText   = 0
	formatBinary = 1
)

// appendValue appends a value, which is not NULL, in one of the formats.
func appendValue(b []byte, k Kind, v any, format int16) []byte {
	if k == Text {
		if at, ok := v.(time.Time); ok {
			return at.AppendFormat(b, timeLayout)
		}
		return append(b, asText(v)...)
	}
	n := asInt(v)
	switch {
	case k == Bool && format == formatText:
		return append(b, "ft"[n])
	case k == Bool:
		return append(b, byte(n))
	case format == formatText:
		return strconv.AppendInt(b, n, 10)
	}
	switch k {
	case Int:
		return binary.BigEndian.AppendUint32(b, uint32(int32(n)))
	case Big:
		return binary.BigEndian.AppendUint64(b, uint64(n))
	default:
		return append(b, numeric(n)...)
	}
}

// timeLayout is how PgBouncer writes a time; those that are shown are local.
const timeLayout = "2006-01-02 15:04:05 MST"

func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case time.Time:
		return v.Format(timeLayout)
	}
	return fmt.Sprint(v)
}

func asInt(v any) int64 {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int64:
		return v
	case uint32:
		return int64(v)
	case uint64:
		return int64(min(v, 1<<63-1))
	case bool:
		if v {
			return 1
		}
		return 0
	}
	panic(fmt.Sprintf("console: a number is a %T", v))
}

// numeric is a whole number as numeric_send in PostgreSQL's src/backend/utils/adt/numeric.c writes it: digits to the base of 10,000.
func numeric(n int64) []byte {
	sign := uint16(0)
	u := uint64(n)
	if n < 0 {
		sign, u = 0x4000, -u
	}
	var digits []uint16
	for ; u > 0; u /= 10_000 {
		digits = append(digits, uint16(u%10_000))
	}
	weight := uint16(len(digits) - 1)
	if len(digits) == 0 {
		weight = 0
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(digits)))
	b = binary.BigEndian.AppendUint16(b, weight)
	b = binary.BigEndian.AppendUint16(b, sign)
	b = binary.BigEndian.AppendUint16(b, 0)
	for i := len(digits) - 1; i >= 0; i-- {
		b = binary.BigEndian.AppendUint16(b, digits[i])
	}
	return b
}
