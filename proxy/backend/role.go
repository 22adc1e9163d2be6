package backend

import (
	"context"
	"time"
)

// Role is what a server lets its sessions do.
type Role struct {
	Known    bool
	Standby  bool // it follows another server
	ReadOnly bool // its sessions begin read-only for another reason: default_transaction_read_only
}

// String is the role in a word.
func (r Role) String() string {
	switch {
	case !r.Known:
		return "unknown"
	case r.Standby:
		return "standby"
	case r.ReadOnly:
		return "read-only"
	}
	return "primary"
}

// Role is the server's role as far as the login has shown it, which servers since PostgreSQL 14 do.
func (c *Conn) Role() Role {
	var r Role
	for _, p := range c.Params {
		switch p.Name {
		case "in_hot_standby":
			r.Known, r.Standby = true, p.Value == "on"
		case "default_transaction_read_only":
			r.ReadOnly = p.Value == "on"
		}
	}
	return r
}

// AskRole is Role that asks where the login has not shown it. It takes no longer than a login may. After an error the connection is of
// no use.
func (c *Conn) AskRole(ctx context.Context, limit time.Duration) (Role, error) {
	if r := c.Role(); r.Known {
		return r, nil
	}
	ctx, cancel := Within(ctx, limit)
	defer cancel()
	a := &Asker{conn: c}
	reply, err := a.Ask(ctx, "select pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only')")
	if err != nil {
		return Role{}, err
	}
	if len(reply.First) != 2 {
		return Role{}, protocolError("%d values for its role", len(reply.First))
	}
	return Role{Known: true, Standby: string(reply.First[0]) == "t", ReadOnly: string(reply.First[1]) == "on"}, nil
}
