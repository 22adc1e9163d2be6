package backend

import (
	"net"
	"syscall"
	"time"

	"weir/proxy/socket"
)

// A server whose machine has vanished says nothing, and Linux waits a quarter of an hour for it to acknowledge what was sent,
// or two hours before it asks whether it is still there. SilenceMax bounds both: half of it is waited before the first probe, and
// each of the three probes gets a third of the rest.

const keepAliveProbes = 3

func (t Target) keepAlive() net.KeepAliveConfig {
	idle := max(t.SilenceMax/2, time.Second).Round(time.Second)
	interval := max((t.SilenceMax-idle)/keepAliveProbes, time.Second).Round(time.Second)
	return net.KeepAliveConfig{Enable: true, Idle: idle, Interval: interval, Count: keepAliveProbes}
}

// boundSilence has a dialer make connections that end when the server is silent for too long.
func (t Target) boundSilence(d *net.Dialer) {
	if t.SilenceMax <= 0 {
		return
	}
	d.KeepAliveConfig = t.keepAlive()
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		var err error
		if trouble := raw.Control(func(fd uintptr) { err = socket.SetUserTimeout(int(fd), t.SilenceMax) }); trouble != nil {
			return trouble
		}
		return err
	}
}
