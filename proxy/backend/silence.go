package backend

import (
	"errors"
	"net"
	"syscall"

	"weir/proxy/socket"
)

// prepare has a dialer tell the kernel what it is to do with the connection. A server whose machine has vanished says nothing, and Linux
// would wait a quarter of an hour for it to acknowledge what was sent, or two hours before it asks whether it is still there.
func (t Target) prepare(d *net.Dialer) {
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		var err error
		trouble := raw.Control(func(fd uintptr) {
			err = t.TCP.Set(int(fd))
			if silence := t.TCP.Silence(); silence > 0 && err == nil {
				err = socket.SetUserTimeout(int(fd), silence)
			}
		})
		return errors.Join(trouble, err)
	}
}
