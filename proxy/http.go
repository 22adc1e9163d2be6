package proxy

import "weir/proxy/telemetry"

// openHTTP serves metrics and health, where the configuration wants them.
func (p *Proxy) openHTTP() error {
	c := p.current.Load().config.HTTP
	if c.Address == "" {
		return nil
	}
	web, err := telemetry.Serve(p.ctx, telemetry.Options{
		Address: c.Address, Source: p, Ready: p.Ready, Pprof: c.Pprof, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.web = web
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
