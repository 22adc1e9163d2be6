package proxy

import "weir/proxy/console"

// shutdown ends weir as an operator wishes. It returns at once; Stopped tells the end. Until then the unix socket serves the console.
func (p *Proxy) shutdown(how console.Shutdown) error {
	switch {
	case how == console.ShutdownNow:
		go p.Stop()
		return nil
	case p.leaving.Load():
		return errEnding
	}
	p.log.Info("shutting down by order of the console", "clients", p.clients.Count(), "wait_for_clients", how == console.ShutdownWaitForClients)
	d := drain{keepUnix: true}
	if how == console.ShutdownWaitForClients {
		d.timeout = forever
	}
	p.leave(0, d)
	return nil
}
