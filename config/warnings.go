package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
)

// Warnings says what works and is probably not meant, a sentence each, always in the same order.
func (c *Config) Warnings() []string {
	var ws []string
	warn := func(format string, args ...any) { ws = append(ws, fmt.Sprintf(format, args...)) }
	c.warnOfTrust(warn)
	c.warnOfUsers(warn)
	c.warnOfTLS(warn)
	if len(c.Databases) == 0 {
		warn(`no database is configured, so every client will be refused; add [databases."*"] with a host`)
	}
	// Databases and users repeat nothing that has been said of all.
	general := c.effective(Override{}, Override{}).warnings()
	tell := func(where string, s PoolSettings) {
		for _, text := range s.warnings() {
			if where == "" || !slices.Contains(general, text) {
				warn("%s%s", where, text)
			}
		}
	}
	tell("", c.effective(Override{}, Override{}))
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		tell(fmt.Sprintf("database %q: ", name), c.effective(c.Databases[name].Override, Override{}))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		tell(fmt.Sprintf("user %q: ", name), c.effective(Override{}, c.Users[name].Override))
	}
	return ws
}

func (c *Config) warnOfTrust(warn func(string, ...any)) {
	if c.Auth.Type == AuthPassword && c.ClientTLS.SSLMode < SSLRequire && slices.ContainsFunc(c.Listen.Addresses, func(a string) bool { return !isLoopback(a) }) {
		warn(`[auth] type "password" sends passwords over the network in clear text`)
	}
	if c.Auth.Type != AuthTrust {
		return
	}
	open := false
	for _, a := range c.Listen.Addresses {
		if !isLoopback(a) {
			open = true
			warn(`[auth] type "trust" lets everyone who reaches %s in without a password`, a)
		}
	}
	if c.Listen.UnixSocketDir != "" && c.Listen.UnixSocketMode&0o007 != 0 {
		open = true
		warn(`[auth] type "trust" lets every account of this machine in through the unix socket (mode %s)`, c.Listen.UnixSocketMode)
	}
	if !open {
		warn(`[auth] type "trust" lets every process of this machine in without a password`)
	}
}

// isLoopback tells whether an address of [listen] can be reached from this machine only. A name other than
// localhost may lead anywhere.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *Config) warnOfUsers(warn func(string, ...any)) {
	if c.Auth.Type == AuthTrust {
		return
	}
	if len(c.Users) == 0 {
		warn("[auth] type %q asks for passwords, but [users] has none, so nobody can log in", c.Auth.Type)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		form := c.Users[name].Password.Form()
		if form == FormNone || form == FormMD5 && c.Auth.Type == AuthSCRAM {
			warn("user %q cannot log in: [auth] type %q, and [users.%s] has %s", name, c.Auth.Type, quoteKey(name), form)
		}
	}
}

// warnings says which of the values do not go together.
func (s PoolSettings) warnings() []string {
	var ws []string
	warn := func(format string, args ...any) { ws = append(ws, fmt.Sprintf(format, args...)) }
	if s.ReservePoolSize > 0 && s.ReservePoolTimeout == 0 {
		warn("reserve_pool_timeout is 0, so reserve_pool_size (%d) is never used", s.ReservePoolSize)
	}
	if s.MaxDBConnections > 0 && s.MaxDBConnections < s.PoolSize {
		warn("max_db_connections (%d) is below pool_size (%d)", s.MaxDBConnections, s.PoolSize)
	}
	if s.MaxUserConnections > 0 && s.MaxUserConnections < s.PoolSize {
		warn("max_user_connections (%d) is below pool_size (%d)", s.MaxUserConnections, s.PoolSize)
	}
	if s.QueryWaitTimeout == 0 {
		warn("query_wait_timeout is 0, so a client may wait for a backend for ever")
	}
	return ws
}
