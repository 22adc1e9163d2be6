package proxy_test

import (
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
