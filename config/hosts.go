package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// hostsMax bounds the servers of one database: each of them has metrics of its own.
const hostsMax = 32

// Server is one of the servers that a database may be found at.
type Server struct {
	Host string // as in Database, but one
	Port int
}

// Hosts are the hosts of a database, in the order of the file.
func (d *Database) Hosts() []string {
	hosts := strings.Split(d.Host, ",")
	for i, h := range hosts {
		hosts[i] = strings.TrimSpace(h)
	}
	return hosts
}

// Servers are the servers of a database, in the order of the file.
func (d *Database) Servers() []Server {
	var servers []Server
	for i, host := range d.Hosts() {
		s := Server{host, d.Port}
		if i < len(d.Ports) {
			s.Port = d.Ports[i]
		}
		servers = append(servers, s)
	}
	return servers
}

// Addresses name the servers for people and for comparisons.
func (d *Database) Addresses() string {
	var all []string
	for _, s := range d.Servers() {
		all = append(all, net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	}
	return strings.Join(all, ",")
}

// hostsOf and portsOf are the places of what may be one or several.
type (
	hostsOf struct{ *Database }
	portsOf struct{ *Database }
)

func readHosts(d *Database, v any) (element int, err error) {
	if _, ok := v.([]any); !ok {
		text, ok := v.(string)
		if !ok {
			return -1, wrongType("text in quotes, or a list of texts", v)
		}
		return -1, readWord(&d.Host, text)
	}
	var hosts []string
	if element, err := readStrings(&hosts, v); err != nil {
		return element, err
	}
	for i, h := range hosts {
		if strings.Contains(h, ",") {
			return i, errors.New("must be one host")
		}
	}
	d.Host = strings.Join(hosts, ",")
	return -1, nil
}

func readPorts(d *Database, v any, s *setting) (element int, err error) {
	switch v := v.(type) {
	case int64:
		d.Ports = nil
		return -1, readInt(&d.Port, v, s)
	case string:
		if _, err := strconv.Atoi(v); err == nil {
			return -1, readInt(&d.Port, v, s)
		}
		if err := d.setPorts(v); err != nil {
			return -1, fmt.Errorf("= %q: %w", v, err)
		}
		return -1, nil
	case []any:
		ports := make([]int, len(v))
		for i, e := range v {
			if err := readInt(&ports[i], e, s); err != nil {
				return i, err
			}
		}
		d.Ports = ports
		return -1, nil
	}
	return -1, readInt(&d.Port, v, s)
}

// setPorts takes one port or several, with commas between them; an empty one is the usual.
func (d *Database) setPorts(text string) error {
	var ports []int
	for one := range strings.SplitSeq(text, ",") {
		port := defaultPort
		if one = strings.TrimSpace(one); one != "" || !strings.Contains(text, ",") {
			var err error
			if port, err = parsePort(one); err != nil {
				return err
			}
		}
		ports = append(ports, port)
	}
	d.Port, d.Ports = ports[0], nil
	if len(ports) > 1 {
		d.Ports = ports
	}
	return nil
}

func showPorts(d *Database) string {
	if d.Ports == nil {
		return strconv.Itoa(d.Port)
	}
	var all []string
	for _, p := range d.Ports {
		all = append(all, strconv.Itoa(p))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func checkHosts(d Database) error {
	hosts := d.Hosts()
	if len(hosts) > hostsMax {
		return fmt.Errorf("has %d hosts, more than %d", len(hosts), hostsMax)
	}
	if slices.Contains(hosts, "") && len(hosts) > 1 {
		return fmt.Errorf("%q: one of the hosts is empty", d.Host)
	}
	for _, h := range hosts {
		if err := checkHost(h); err != nil {
			return err
		}
	}
	return nil
}

// Named reports whether the host is a name, which may stand for several addresses.
func (s Server) Named() bool {
	if strings.HasPrefix(s.Host, "/") || strings.HasPrefix(s.Host, "@") {
		return false
	}
	_, err := netip.ParseAddr(s.Host)
	return err != nil
}
