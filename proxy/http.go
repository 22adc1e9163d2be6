package proxy

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"weir/config"
	"weir/proxy/certs"
	"weir/proxy/livepage"
	"weir/proxy/ports"
	"weir/proxy/socket"
	"weir/proxy/telemetry"
)

// web is what is served over HTTP.
type web struct {
	*telemetry.Server
	stop, stopped chan struct{} // of the sampling
}

// openHTTP serves the live page, metrics and health, where the configuration wants them.
func (p *Proxy) openHTTP() error {
	c := p.current.Load().Config.HTTP
	if c.Address == "" {
		return nil
	}
	secrecy, err := p.httpTLS(c)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	l, err := socket.Listen(p.ctx, c.Address, p.current.Load().Config.Listen.ReusePort)
	if err != nil {
		return ports.CannotListen("[http] address", c.Address, err)
	}
	token := func() string { return p.current.Load().Config.HTTPToken.Reveal() }
	page := &livepage.Page{
		Sampler: livepage.NewSampler(),
		Texts: func(r *http.Request) bool { // what clients have written is not for a whole network
			return token() != "" || c.OnLoopback() && livepage.NamesThisMachine(r)
		},
	}
	page.More = func() livepage.More {
		return livepage.More{Hosts: source{p}.Hosts(), Failures: source{p}.Failures(), Listeners: p.Addresses()}
	}
	page.Sampler.Add(p.Snapshot()) // there is something to show from the first
	p.web = &web{
		Server: telemetry.Serve(telemetry.Options{
			Listener: l, Source: scrapes{p}, Ready: p.Ready, Page: page, Token: token, TLS: secrecy, Pprof: c.Pprof, Most: p.current.Load().Descriptors.Visitors(), Log: p.log,
		}),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go p.web.sample(p, page.Sampler)
	return nil
}

// httpTLS is nil where HTTP is to be plain text.
func (p *Proxy) httpTLS(c config.HTTP) (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	files, err := certs.Open("[http]", c.TLS(), p.log)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     c.TLS().MinVersion.ID(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return files.Current().Identity, nil },
	}, nil
}

// sample feeds the page until stop.
func (w *web) sample(p *Proxy, to *livepage.Sampler) {
	defer close(w.stopped)
	tick := time.NewTicker(livepage.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			to.Add(p.Snapshot())
		case <-w.stop:
			return
		}
	}
}

func (p *Proxy) closeHTTP() {
	if p.web == nil {
		return
	}
	close(p.web.stop)
	<-p.web.stopped
	p.web.Close()
}

// HTTPAddress is where the live page, metrics and health are served; empty if they are not.
func (p *Proxy) HTTPAddress() string {
	if p.web == nil {
		return ""
	}
	return p.web.Address()
}
