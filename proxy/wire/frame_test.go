package wire

import (
	"math"
	"testing"
)

func TestCheckClient(t *testing.T) {
	for _, c := range []struct {
		what string
		kind byte
		len  uint32
		want Verdict
	}{
		{"the shortest Query", 'Q', 5, FrameOK},
		{"a Query of 1 GiB - 2", 'Q', MaxLargeMessage, FrameOK},
		{"one byte more", 'Q', MaxLargeMessage + 1, FrameLength},
		{"CopyData of 1 GiB - 2", 'd', MaxLargeMessage, FrameOK},
		{"a Bind of 2 GiB", 'B', 1 << 31, FrameLength},
		{"a Parse of 4 GiB", 'P', math.MaxUint32, FrameLength},
		{"a FunctionCall of 1 GiB - 2", 'F', MaxLargeMessage, FrameOK},
		{"a length that does not cover itself", 'Q', 3, FrameLength},
		{"no length", 'S', 0, FrameLength},
		{"a Sync", 'S', 4, FrameOK},
		{"a Describe of 10,000 bytes", 'D', MaxSmallMessage, FrameOK},
		{"one byte more", 'D', MaxSmallMessage + 1, FrameLength},
		{"a large Close", 'C', 1 << 20, FrameLength},
		{"a large CopyFail", 'f', 1 << 20, FrameLength},
		{"a Flush", 'H', 4, FrameOK},
		{"a Flush with a body", 'H', 5, FrameLength},
		{"a Terminate", 'X', 4, FrameOK},
		{"a password after login", 'p', 10, FrameUnknown},
		{"a server's message", 'Z', 5, FrameUnknown},
		{"a startup packet", 0, 8, FrameUnknown},
		{"HTTP", 'G', 0x45542020, FrameUnknown},
		{"0xff", 0xff, 4, FrameUnknown},
	} {
		if got := (Frame{c.kind, c.len}).CheckClient(); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.what, got, c.want)
		}
	}
}

// TestCheckClientKnowsPostgreSQLsTypes lists what SocketBackend in PostgreSQL's postgres.c takes.
func TestCheckClientKnowsPostgreSQLsTypes(t *testing.T) {
	const known = "QFXBCDEHPSdcf"
	for kind := range 256 {
		want := FrameUnknown
		for _, k := range known {
			if int(k) == kind {
				want = FrameOK
			}
		}
		if got := (Frame{byte(kind), 4}).CheckClient(); got != want {
			t.Errorf("type %q: verdict %d, want %d", rune(kind), got, want)
		}
	}
}

func TestCheckServer(t *testing.T) {
	for _, c := range []struct {
		what string
		kind byte
		len  uint32
		want Verdict
	}{
		{"ReadyForQuery", 'Z', 5, FrameOK},
		{"a DataRow of 2 GiB - 1", 'D', math.MaxInt32, FrameOK},
		{"a negative length", 'D', 1 << 31, FrameLength},
		{"-1", 'D', math.MaxUint32, FrameLength},
		{"a length that does not cover itself", 'Z', 3, FrameLength},
		{"ParseComplete", '1', 4, FrameOK},
		{"ParseComplete with a body", '1', 5, FrameLength},
		{"ReadyForQuery without a status", 'Z', 4, FrameLength},
		{"ReadyForQuery with more", 'Z', 6, FrameLength},
		{"a DataRow without columns", 'D', 6, FrameOK},
		{"a DataRow without their number", 'D', 5, FrameLength},
		{"empty CopyData", 'd', 4, FrameOK},
		{"NegotiateProtocolVersion after login", 'v', 12, FrameUnknown},
		{"no type of a server's", 'Q', 5, FrameUnknown},
		{"zeros", 0, 0, FrameUnknown},
	} {
		if got := (Frame{c.kind, c.len}).CheckServer(); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.what, got, c.want)
		}
	}
}

// TestCheckServerTakesAllThatServersSend: a message that weir holds for garbage costs a backend. These are the shortest that
// PostgreSQL's code can make.
func TestCheckServerTakesAllThatServersSend(t *testing.T) {
	for kind, shortest := range map[byte]uint32{
		ServerBindComplete: 4, ServerCloseComplete: 4, ServerCommandComplete: 5 + 1, ServerCopyData: 4, ServerCopyDone: 4,
		ServerCopyInResponse: 4 + 1 + 2, ServerCopyOutResponse: 4 + 1 + 2, ServerCopyBothResponse: 4 + 1 + 2, ServerDataRow: 4 + 2,
		ServerEmptyQueryResponse: 4, ServerErrorResponse: 5, ServerFunctionCallResult: 4 + 4, ServerNoData: 4, ServerNoticeResponse: 5,
		ServerNotification: 4 + 4 + 1 + 1, ServerParameterDesc: 4 + 2, ServerParameterStatus: 4 + 2 + 1, ServerParseComplete: 4,
		ServerPortalSuspended: 4, ServerReadyForQuery: 5, ServerRowDescription: 4 + 2,
	} {
		if got := (Frame{kind, shortest}).CheckServer(); got != FrameOK {
			t.Errorf("type %q: verdict %d", kind, got)
		}
	}
}

// FuzzPeekFrame holds PeekFrame against the plain reading of the same five bytes, and the verdicts against what a relay does
// with them: a frame that is taken has a total that covers its header and can be skipped with a uint32.
func FuzzPeekFrame(f *testing.F) {
	f.Add([]byte("Q\x00\x00\x00\x04"))
	f.Add([]byte("D\x7f\xff\xff\xff"))
	f.Add([]byte("Q\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < HeaderLen {
			return
		}
		frame := PeekFrame(p[:HeaderLen:HeaderLen])
		n := uint32(p[1])<<24 | uint32(p[2])<<16 | uint32(p[3])<<8 | uint32(p[4])
		if frame.Type != p[0] || frame.Len != n || frame.Total() != int(int64(n))+1 {
			t.Fatalf("% x: %+v, total %d", p[:HeaderLen], frame, frame.Total())
		}
		for _, v := range []Verdict{frame.CheckClient(), frame.CheckServer()} {
			if v == FrameOK && (frame.Total() < HeaderLen || int64(frame.Total()) > math.MaxUint32) {
				t.Fatalf("% x is taken, with a total of %d", p[:HeaderLen], frame.Total())
			}
		}
	})
}

func TestTxStatus(t *testing.T) {
	for s := range 256 {
		status := TxStatus(s)
		want := status == 'I' || status == 'T' || status == 'E'
		if status.Valid() != want || (status.String() != "unknown") != want {
			t.Errorf("status %q: valid %t, %q", rune(s), status.Valid(), status)
		}
	}
}
