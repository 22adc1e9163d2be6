package load

import (
	"bufio"
	"context"
	"time"
)

// client is one of the clients of a load: one goroutine, with a connection to each server at most.
type client struct {
	loop        *loop
	connections []connection // by the server's index
}

func newClient(l *loop) *client {
	c := &client{loop: l, connections: make([]connection, len(l.plan.servers))}
	for i, s := range l.plan.servers {
		c.connections[i] = connection{
			server: s, timeout: l.opts.Timeout, keepAlive: l.opts.KeepAlive,
			reader: bufio.NewReaderSize(nil, 4<<10),
		}
	}
	return c
}

// run does one task after the other until the load is over.
func (c *client) run(ctx context.Context) {
	defer func() {
		for i := range c.connections {
			c.connections[i].close()
		}
	}()
	for {
		n, due, ok := c.loop.take(ctx)
		if !ok {
			return
		}
		t := c.loop.plan.target(n)
		if c.loop.plan.visit {
			c.visit(ctx, t.server, due)
		} else {
			c.ask(ctx, t.server, t.request, t.group, due, nil)
		}
	}
}

// ask sends one request and records how it ended, its latency counted from due. look may look into the answer, as
// connection.request says. It returns false for a failure, and when ctx ended first: then nothing is recorded.
func (c *client) ask(
	ctx context.Context, s *server, request []byte, group string, due time.Time, look func([]byte) Kind,
) bool {
	c.loop.opts.Counts.UnderWay.Add(1)
	got := c.connections[s.index].request(ctx, request, look)
	c.loop.opts.Counts.UnderWay.Add(-1)
	if ctx.Err() != nil {
		return false
	}
	now := time.Now()
	c.loop.record(group, got.kind, now.Sub(due), got.bytes, now)
	return got.kind == ""
}
