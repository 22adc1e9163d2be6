package main

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"weir/proxy"
)

// supervisor takes part in what systemd offers its services: sockets of its own, and notes about what becomes of weir. Without systemd it
// does nothing.
type supervisor struct {
	notes chan string // a systemd that takes none stops nothing here
}

// notesMax bounds the notes that wait.
const notesMax = 16

// supervise has a weir take part. Children inherit none of that.
func supervise(o *proxy.Options) *supervisor {
	s := &supervisor{notes: make(chan string, notesMax)}
	go func() {
		for note := range s.notes {
			_, _ = daemon.SdNotify(false, note)
		}
	}()
	o.Sockets = activation.Files(true)
	o.Tell = func(e proxy.Event) { s.note(noteOf(e)) }
	return s
}

func (s *supervisor) note(text string) {
	select {
	case s.notes <- text:
	default:
	}
}

func noteOf(e proxy.Event) string {
	switch e {
	case proxy.Reloading:
		return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic().Microseconds())
	case proxy.Stopping:
		return daemon.SdNotifyStopping
	default:
		return daemon.SdNotifyReady
	}
}

// watch keeps systemd's watchdog quiet, where the service has one, for as long as all loops answer.
func (s *supervisor) watch(p *proxy.Proxy) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.Alive()
			s.note(daemon.SdNotifyWatchdog)
		case <-p.Stopped():
			return
		}
	}
}
