package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"weir/config/hba"
)

// nameMax bounds the names of databases in [databases], in bytes. PostgreSQL's own end after 63 (NAMEDATALEN), but a startup packet may
// hold longer ones and a database here is only a name for another.
const nameMax = 255

// socketPathMax bounds a unix socket's path, in bytes: sun_path has 104 on macOS, 108 on Linux, with a zero at the end.
const socketPathMax = 103

var defaultPort = 5432

// validate checks what one setting alone does not show. report takes the path of the setting to blame.
func validate(c *Config, report func(path []string, format string, args ...any)) {
	checkListeners(c, report)
	checkHTTP(c, report)
	checkAuth(c, report)
	if c.Pool.MinPoolSize > c.Pool.PoolSize {
		report([]string{"pool", "min_pool_size"}, "min_pool_size (%d) must not be above pool_size (%d)", c.Pool.MinPoolSize, c.Pool.PoolSize)
	}
	for name, d := range c.Databases {
		checkDatabase(name, d, report)
	}
	checkPeers(c, report)
	checkFunctions(c, report)
	checkAllTLS(c, report)
	if !slices.Contains(syslogFacilities, c.Log.SyslogFacility) {
		report([]string{"log", "syslog_facility"}, "syslog_facility must be %s (got %q)", oneOf(syslogFacilities), c.Log.SyslogFacility)
	}
	checkConsole(c, report)
	checkTracing(c, report)
	for name := range c.Users {
		if err := checkUserName(name); err != nil {
			report([]string{"users", name}, "the name of a user %v", err)
		}
	}
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("must not be empty")
	case len(name) > nameMax:
		return fmt.Errorf("must be at most %d bytes", nameMax)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("must not contain a NUL character")
	}
	return nil
}

func checkUserName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(name) > hba.UserNameMax {
		return fmt.Errorf("must be at most %d bytes, where PostgreSQL cuts it", hba.UserNameMax)
	}
	return nil
}

func checkListeners(c *Config, report func([]string, string, ...any)) {
	addresses := []string{"listen", "addresses"}
	if len(c.Listen.Addresses) == 0 && c.Listen.UnixSocketDir == "" {
		report(addresses, "nothing to listen on: want addresses or unix_socket_dir")
	}
	type listener struct{ what, text, host, port string }
	var known []listener
	add := func(path []string, what, text string) {
		host, port, err := splitAddress(text)
		if err != nil {
			report(path, "%s %q: %v", what, text, err)
			return
		}
		for _, k := range known {
			if port != "0" && port == k.port && SameHost(host, k.host) {
				report(path, "%s %q: %s %q is there already", what, text, k.what, k.text)
				return
			}
		}
		known = append(known, listener{what, text, host, port})
	}
	for i, a := range c.Listen.Addresses {
		add(elementPath(addresses, i), "address", a)
	}
	if c.HTTP.Address != "" {
		add([]string{"http", "address"}, "the HTTP address", c.HTTP.Address)
	}
	if dir := c.Listen.UnixSocketDir; dir != "" && dir[0] != '/' {
		report([]string{"listen", "unix_socket_dir"}, "unix_socket_dir must be an absolute path (got %q)", dir)
	} else if n := len(dir) + len("/.s.PGSQL.65535"); n > socketPathMax {
		report([]string{"listen", "unix_socket_dir"}, "unix_socket_dir must be at most %d bytes long (got %d)",
			socketPathMax-len("/.s.PGSQL.65535"), len(dir))
	}
}

// splitAddress checks a listener's address as far as that is possible without looking up its name.
func splitAddress(text string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(text)
	if err != nil {
		if ip, ipErr := netip.ParseAddr(strings.Trim(text, "[]")); ipErr == nil {
			return "", "", fmt.Errorf("want a port: %q", net.JoinHostPort(ip.String(), "6432"))
		}
		return "", "", fmt.Errorf(`want host:port, such as "127.0.0.1:6432"`)
	}
	if host == "*" {
		return "", "", fmt.Errorf("want %q for every address", ":"+port)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("the port must be a number from 0 to 65535")
	}
	return host, port, nil
}

// SameHost tells whether two listeners on one port would meet: the same host, or one of them on every address, or on every one of the
// other's family. "::" is IPv6 alone.
func SameHost(a, b string) bool {
	if a == "localhost" {
		a = "127.0.0.1"
	}
	if b == "localhost" {
		b = "127.0.0.1"
	}
	if a == b || a == "" || b == "" {
		return true
	}
	ipA, errA := netip.ParseAddr(a)
	ipB, errB := netip.ParseAddr(b)
	if errA != nil || errB != nil || ipA.Is4() != ipB.Is4() {
		return false
	}
	return ipA == ipB || ipA.IsUnspecified() || ipB.IsUnspecified()
}

func checkDatabase(name string, d Database, report func([]string, string, ...any)) {
	path := []string{"databases", name}
	at := func(setting string) []string { return append(path[:2:2], setting) }
	if err := checkName(name); err != nil {
		report(path, "the name of a database %v", err)
	}
	if err := checkHosts(d); err != nil {
		report(at("host"), "host %v", err)
	} else if n := len(d.Hosts()); d.Ports != nil && len(d.Ports) != n {
		report(at("port"), "port has %d ports for %d hosts: want one port for all, or one for each", len(d.Ports), n)
	}
	if form := d.Password.Form(); form == FormSCRAM || form == FormMD5 {
		report(at("password"), "password must be in clear text to log in to a server (got %s)", form)
	}
	if d.PoolSize != nil && d.MinPoolSize != nil && *d.MinPoolSize > *d.PoolSize {
		report(at("min_pool_size"), "min_pool_size (%d) must not be above pool_size (%d)", *d.MinPoolSize, *d.PoolSize)
	}
}

func checkHost(host string) error {
	switch {
	case host == "":
		return fmt.Errorf(`is missing: want a name, an address or the folder of a unix socket`)
	case host[0] == '/' || host[0] == '@':
		return nil
	case strings.Contains(host, "://"):
		return fmt.Errorf("%q: want a name or an address, not a URL", host)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if h, p, err := net.SplitHostPort(host); err == nil {
		return fmt.Errorf("%q holds a port: want host = %q and port = %s", host, h, p)
	}
	if strings.ContainsAny(host, " \t\r\n/:[]\\") {
		return fmt.Errorf("%q is neither a name nor an address", host)
	}
	return nil
}
