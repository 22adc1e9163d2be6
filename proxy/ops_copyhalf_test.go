package proxy_test

import (
	"io"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// A COPY that fails amid a message of its data leaves a backend that waits for the rest of it: what another client asks for there would be taken
// for that.
func TestNobodyIsServedBehindHalfAMessageOfACopy(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE sink (v int)")
	w := start(t, d, "[pool]\npool_size = 1\n")
	c, next := enter(t, w, d), enter(t, w, d)
	c.Query("SELECT 1")
	c.inBackground("COPY sink FROM STDIN")
	receiveUntil[*pgproto3.CopyInResponse](c)
	c.SendBytes([]byte("d\x00\x00\x00\x07no\n" + "d\x00\x00\xff\xffhalf\n"))
	receiveUntil[*pgproto3.ErrorResponse](c)
	_ = c.conn.Close()
	next.Query("SELECT 1")
}

// A Flush ahead of a COPY's data is part of that data for the server, which keeps what it says to the end of the data until a Sync. A client that sends
// none and ends has been told all, and does not keep its backend.
func TestClientThatEndsBehindItsCopyDataWithoutASyncHasHeardAll(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE sink (v int)")
	w := start(t, d, "[pool]\npool_size = 1\n")
	c, next := enter(t, w, d), enter(t, w, d)
	c.Send(&pgproto3.Parse{Query: "COPY sink FROM STDIN"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{}, &pgproto3.CopyDone{})
	receiveUntil[*pgproto3.CopyInResponse](c)
	if err := c.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c.conn); err != nil {
		t.Errorf("the connection does not end: %v", err)
	}
	next.Query("SELECT 1")
}
