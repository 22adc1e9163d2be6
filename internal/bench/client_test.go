package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func message(typ byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{typ}, uint32(len(body)+4))) + body
}

func row(value string) string {
	return message('D', "\x00\x01"+string(binary.BigEndian.AppendUint32(nil, uint32(len(value))))+value)
}

// reading is a client that finds stream on its connection, one byte at a time.
func reading(stream string) *client {
	return &client{r: bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(stream)), readBuffer)}
}

func TestAnswerEndsAtReadyForQuery(t *testing.T) {
	c := reading(message('T', "..") + row("one") + row("two") + message('C', "SELECT 2\x00") + message('Z', "I") + row("of the next"))
	got, err := c.readAnswer(0)
	if err != nil || got != (answer{rows: 2, bytes: 18, tag: "SELECT 2", first: "one"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnswerLargerThanTheBufferIsCounted(t *testing.T) {
	const size = 3 * readBuffer
	c := reading(row(strings.Repeat("x", size)) + message('Z', "I"))
	got, err := c.readAnswer(0)
	if err != nil || got.rows != 1 || got.bytes != size+6 || got.first != "" {
		t.Errorf("got %d rows of %d bytes, first %q, %v", got.rows, got.bytes, got.first, err)
	}
}

func TestServersErrorIsTheAnswer(t *testing.T) {
	fatal := message('E', "SFATAL\x00C57P01\x00Mbye\x00\x00")
	var want *serverError
	if a, err := reading(fatal + message('Z', "I")).readAnswer(0); err != nil || !errors.As(a.err, &want) || want.code != "57P01" {
		t.Errorf("got %+v, %v, want the session to go on after 57P01", a, err)
	}
	if _, err := reading(fatal).readAnswer(0); !errors.As(err, &want) {
		t.Errorf("the connection ended after a FATAL with %v, want the FATAL", err)
	}
}

func TestCutAndGarbledAnswersAreErrors(t *testing.T) {
	for _, c := range []struct {
		stream string
		want   error // nil: any
	}{
		{"", io.EOF},
		{row("one")[:9], io.ErrUnexpectedEOF},
		{"Z\x00\x00\x00\x03I", nil},
		{message('R', "\x00\x00\x00\x0a"), errAuthentication},
	} {
		if _, err := reading(c.stream).readAnswer(0); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%q: err = %v, want %v", c.stream, err, c.want)
		}
	}
}

func TestSlowReaderTakesSmallPiecesUntilItsTime(t *testing.T) {
	stream := strings.NewReader(strings.Repeat("x", 4*slowPiece))
	buf := make([]byte, 2*slowPiece)
	s := &slowReader{r: stream, until: time.Now().Add(time.Hour)}
	if n, _ := s.Read(buf); n != slowPiece {
		t.Errorf("read %d bytes while slow, want %d", n, slowPiece)
	}
	s.until = time.Time{}
	if n, _ := s.Read(buf); n != 2*slowPiece {
		t.Errorf("read %d bytes afterwards, want %d", n, 2*slowPiece)
	}
}
