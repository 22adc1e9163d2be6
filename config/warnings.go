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
	c.warnOfAuth(warn)
	c.warnOfHTTP(warn)
	c.warnOfPeers(warn)
	c.warnOfMachine(warn)
	if !c.Log.Stderr && !c.Log.Syslog && c.Log.File == "" {
		warn("nothing is logged: of [log], stderr and syslog are off, and file is empty")
	}
	ws = append(ws, c.doubts...)
	ws = append(ws, c.Unheeded...)
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
	if c.Auth.Type != AuthTrust && c.Auth.Type != AuthAny {
		return
	}
	open := false
	for _, a := range c.Listen.Addresses {
		if !isLoopback(a) {
			open = true
			warn(`[auth] type %q lets everyone who reaches %s in without a password`, c.Auth.Type, a)
		}
	}
	if c.Listen.UnixSocketDir != "" && c.Listen.UnixSocketMode&0o007 != 0 {
		open = true
		warn(`[auth] type %q lets every account of this machine in through the unix socket (mode %s)`, c.Auth.Type, c.Listen.UnixSocketMode)
	}
	if !open {
		warn(`[auth] type %q lets every process of this machine in without a password`, c.Auth.Type)
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

// warnOfUsers looks for users that cannot log in with a password. With rules that depends on the connection.
func (c *Config) warnOfUsers(warn func(string, ...any)) {
	if c.Auth.Type == AuthTrust || c.Auth.Type == AuthAny || c.Auth.Type == AuthHBA || c.Auth.Type == AuthCert {
		return
	}
	if len(c.Users)+len(c.Accounts) == 0 && !c.LooksUp() {
		warn("[auth] type %q asks for passwords, but neither [users] nor auth_file has any and there is no auth_user, so no user can log in", c.Auth.Type)
	}
	c.warnOfUnfitUsers(warn)
	c.warnOfUnfitHashes(warn)
}

// warnOfUnfitUsers looks for users of the configuration whose password is not stored as the method needs it.
func (c *Config) warnOfUnfitUsers(warn func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		secret, known := c.Account(name)
		if form := secret.Form(); !c.Auth.Type.takes(form) && (known || !c.LooksUp()) {
			warn("user %q cannot log in: [auth] type %q, and [users.%s] has %s", name, c.Auth.Type, quoteKey(name), form)
		}
	}
}

// warnOfUnfitHashes looks for the same in auth_file. It can have many users, so they get one warning.
func (c *Config) warnOfUnfitHashes(warn func(string, ...any)) {
	if c.Auth.Type.takes(FormMD5) {
		return
	}
	var unfit []string
	for name, secret := range c.Accounts {
		if _, told := c.Users[name]; !told && secret.Form() == FormMD5 {
			unfit = append(unfit, name)
		}
	}
	if len(unfit) > 0 {
		warn("auth_file has md5 hashes, which cannot serve [auth] type %q: users who cannot log in: %d, the first is %q",
			c.Auth.Type, len(unfit), slices.Min(unfit))
	}
}

// takes reports whether a method that asks for passwords can serve a user whose password is stored in that form.
func (t AuthType) takes(form PasswordForm) bool {
	return form != FormNone && (form != FormMD5 || t != AuthSCRAM && t != AuthSCRAMPlus)
}

// LooksUp tells whether users are looked up in some database.
func (c *Config) LooksUp() bool {
	for _, d := range c.Databases {
		if d.AuthUser != nil && *d.AuthUser != "" {
			return true
		}
	}
	return c.Auth.AuthUser != ""
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
