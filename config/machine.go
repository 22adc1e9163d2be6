package config

import (
	"os/user"
	"strconv"
)

// warnOfMachine says what this machine does not have, without which weir does not start here. The file may be meant for another machine, so these are no
// faults.
func (c *Config) warnOfMachine(warn func(string, ...any)) {
	if name := c.Listen.UnixSocketGroup; name != "" && c.Listen.UnixSocketDir != "" {
		if _, err := GroupID(name); err != nil {
			warn("unix_socket_group is %q, and this machine has no such group", name)
		}
	}
	if name := c.Process.User; name != "" {
		if _, err := user.Lookup(name); err != nil {
			warn("[process] user is %q, and this machine has no such account", name)
		}
	}
}

// GroupID is the number of a group that is given by its name or by its number; -1 for none.
func GroupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if id, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(id), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}
