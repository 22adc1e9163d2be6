package wire

import (
	"encoding/binary"
	"strconv"
)

// Frame is one message's header: where its type byte says what it is and its length where it ends.
type Frame struct {
	Type byte
	Len  uint32 // of the message without its type byte: the length word and the body
}

// PeekFrame reads the header at the start of p, which must hold at least HeaderLen bytes.
func PeekFrame(p []byte) Frame {
	_ = p[HeaderLen-1]
	return Frame{Type: p[0], Len: binary.BigEndian.Uint32(p[1:])}
}

// Total is the size of the whole message in bytes, type byte included.
func (f Frame) Total() int { return int(f.Len) + 1 }

// Letter is the message's type for the log, as errors have it, too: 'Q'. It allocates.
func (f Frame) Letter() string { return strconv.QuoteRuneToASCII(rune(f.Type)) }

// Verdict says whether a header may stand where it stands.
type Verdict uint8

// What CheckClient and CheckServer find; the last two are their callers' to find.
const (
	FrameOK       Verdict = iota
	FrameUnknown          // no such message type in this direction and phase
	FrameLength           // a length below 4, or beyond the type's limit
	FrameBeyond           // longer than the operator lets through
	FrameUnwanted         // a type that the operator does not let through
)

// CheckClient judges a header that a logged-in client sent.
func (f Frame) CheckClient() Verdict {
	limit := maxLen[f.Type]
	if limit == 0 {
		return FrameUnknown
	}
	if f.Len < 4 || f.Len > limit {
		return FrameLength
	}
	return FrameOK
}

// CheckServer judges a header that a logged-in backend sent.
func (f Frame) CheckServer() Verdict {
	b := serverLen[f.Type]
	switch {
	case f.Len >= b.least && f.Len <= b.most && b.most > 0:
		return FrameOK
	case b.most == 0:
		return FrameUnknown
	}
	return FrameLength
}
