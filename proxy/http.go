package proxy

import (
	"fmt"

	"weir/proxy/socket"
	"weir/proxy/telemetry"
)

// openHTTP serves metrics and health, where the configuration wants them.
func (p *Proxy) openHTTP() error {
	c := p.current.Load().config.HTTP
	if c.Address == "" {
		return nil
	}
	l, err := socket.Listen(p.ctx, c.Address, p.current.Load().config.Listen.ReusePort)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	p.web = telemetry.Serve(telemetry.Options{
		Listener: l, Source: p, Ready: p.Ready, Pprof: c.Pprof, Log: p.log,
	})
	return nil
}

func (p *Proxy) closeHTTP() {
	if p.web != nil {
		p.web.Close()
	}
}

// HTTPAddress is where metrics and health are served; empty if they are not.
func (p *Proxy) HTTPAddress() string {
	if p.web == nil {
		return ""
	}
	return p.web.Address()
}
