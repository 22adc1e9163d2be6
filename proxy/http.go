package proxy

// http is the proxy's web server.
type http struct{}

func (p *Proxy) openHTTP() error { return nil }

func (p *Proxy) closeHTTP() {}

// HTTPAddress is where metrics and health are served; empty if they are not.
func (p *Proxy) HTTPAddress() string { return "" }
