package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"weir/proxy/wire"
)

// Cancel asks the server to cancel what the backend with this key is doing, and
// returns once the server has closed the request's connection: by then the
// signal has been sent, though the backend may not have acted on it yet. Until
// then the backend must not go to another client, whose query the signal could
// hit. An error means that nobody knows whether the signal was sent or will be.
// All of it ends with ctx; the target's ConnectTimeout does not count.
func Cancel(ctx context.Context, t Target, pid uint32, secret []byte) error {
	nc, err := t.dial(ctx)
	if err != nil {
		return fmt.Errorf("cancel on %s: %w", t.Address(), err)
	}
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if _, err := nc.Write(wire.AppendCancelRequest(nil, pid, secret)); err != nil {
		return fmt.Errorf("cancel on %s: send: %w", t.Address(), whyEnded(ctx, err))
	}
	// The server sends nothing; a reset is an end as well.
	if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("cancel on %s: wait for the server to close: %w", t.Address(), whyEnded(ctx, err))
	}
	return nil
}

// whyEnded prefers the context's reason to the deadline that it has set.
func whyEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
