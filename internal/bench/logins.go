package bench

import (
	"bufio"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// derivedOnce is the mode of the suite connect in which our own clients connect, log in with SCRAM, run one query and leave.
const derivedOnce = "key kept"

// runLogins has clients connect, each time anew, for a while.
func (l *Lab) runLogins(ctx context.Context, addr hostPort, a pgbenchArgs) (pgbenchRun, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var known passwords
	var done atomic.Int64
	began := time.Now()
	query := queryMessage("select 1")
	var all sync.WaitGroup
	for range a.clients {
		all.Go(func() {
			r := bufio.NewReaderSize(nil, readBuffer)
			for ctx.Err() == nil && time.Since(began) < a.duration {
				if err := loginOnce(ctx, addr, r, &known, query); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return pgbenchRun{}, fmt.Errorf("connect and log in with %d clients: %w", a.clients, err)
	}
	return pgbenchRun{Transactions: done.Load(), TPS: float64(done.Load()) / time.Since(began).Seconds()}, nil
}

func loginOnce(ctx context.Context, addr hostPort, r *bufio.Reader, known *passwords, query []byte) error {
	c, err := dialAs(ctx, addr, 0, r, known.login)
	if err != nil {
		return err
	}
	defer c.close()
	a, err := c.exchange(query)
	if err == nil {
		err = a.err
	}
	if err != nil {
		return err
	}
	_, err = c.conn.Write([]byte{'X', 0, 0, 0, 4}) // Terminate
	return err
}
