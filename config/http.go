package config

import (
	"strings"
)

// tokenMin and tokenMax bound the length of [http] token, in bytes: who reaches the address may try short ones, and headers have an end.
const (
	tokenMin = 16
	tokenMax = 2048
)

// TLS is what [http] says of certificates. It asks its clients for none.
func (h HTTP) TLS() TLS {
	return TLS{CertFile: h.CertFile, KeyFile: h.KeyFile, MinVersion: Default().ClientTLS.MinVersion}
}

// OnLoopback tells whether HTTP is served to this machine only.
func (h HTTP) OnLoopback() bool { return isLoopback(h.Address) }

// loadHTTP finds the token that holds.
func (p *parser) loadHTTP() {
	h := p.config.HTTP
	p.config.HTTPToken = h.Token
	if h.TokenFile == "" {
		return
	}
	if h.Token.IsSet() {
		p.problem([]string{"http", "token_file"}, "token_file and token exclude each other")
		p.config.HTTPToken = Secret{} // one message is enough
		return
	}
	p.reader.files = append(p.reader.files, string(h.TokenFile))
	text, err := readBounded(string(h.TokenFile), tokenMax+2)
	if err != nil {
		p.problem([]string{"http", "token_file"}, "token_file cannot be read: %v", err)
		return
	}
	p.config.HTTPToken = NewSecret(strings.TrimRight(string(text), "\r\n"))
	if !p.config.HTTPToken.IsSet() {
		p.problem([]string{"http", "token_file"}, "token_file is empty")
	}
}

// checkHTTP checks who may read what HTTP serves.
func checkHTTP(c *Config, report func([]string, string, ...any)) {
	at := func(setting string) []string { return []string{"http", setting} }
	h := c.HTTP
	if (h.CertFile == "") != (h.KeyFile == "") {
		report([]string{"http"}, "%v", errHalfIdentity)
	} else if _, err := h.TLS().Identity(); err != nil {
		report(at("cert_file"), "cert_file: %v", err)
	}
	setting := "token"
	if h.TokenFile != "" {
		setting = "token_file"
	}
	switch token := c.HTTPToken.Reveal(); {
	case token == "":
	case len(token) < tokenMin || len(token) > tokenMax:
		report(at(setting), "%s must hold from %d to %d bytes (got %d)", setting, tokenMin, tokenMax, len(token))
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		report(at(setting), "%s must be of visible ASCII characters, as HTTP's headers are", setting)
	}
}

// warnOfHTTP says who can read what is meant for few.
func (c *Config) warnOfHTTP(warn func(string, ...any)) {
	if c.HTTPToken.IsSet() && c.HTTP.CertFile == "" && !c.HTTP.OnLoopback() && c.HTTP.Address != "" {
		warn("[http] token crosses the network in clear text: want cert_file and key_file in [http]")
	}
	warnIfOpen("token_file", c.HTTP.TokenFile, warn)
}
