package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"syscall"

	"weir/proxy/wire"
)

// Cancel asks the server to cancel what the backend with this key is doing, and
// returns once the server has closed the request's connection: by then the
// signal has been sent, though the backend may not have acted on it yet. Until
// then the backend must not go to another client, whose query the signal could
// hit. After an error it is not known whether the signal was sent or will be.
// All of it ends with ctx; the target's ConnectTimeout does not count.
func Cancel(ctx context.Context, t Target, pid uint32, secret []byte) error {
	return CancelVia(ctx, t, pid, secret, func() {})
}

// CancelVia is Cancel by way of another pooler. It calls connected before it sends the request, each time that it does.
func CancelVia(ctx context.Context, t Target, pid uint32, secret []byte, connected func()) error {
	ways, request := t.ways(), wire.AppendCancelRequest(nil, pid, secret)
	sent, err := t.cancel(ctx, ways, request, connected)
	if !sent && len(ways) > 1 && ctx.Err() == nil {
		_, err = t.cancel(ctx, ways[1:], request, connected)
	}
	if err != nil {
		return fmt.Errorf("cancel on %s: %w", t.Address(), err)
	}
	return nil
}

// cancel makes one attempt, in the first of these ways to encrypt it: the key is a
// secret worth keeping. sent says that the request may have reached the server, so that
// another is of no use.
func (t Target) cancel(ctx context.Context, ways []*tls.Config, request []byte, connected func()) (sent bool, err error) {
	nc, err := t.dial(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = nc.Close() }()
	defer endWith(ctx, nc)()

	if ways[0] != nil {
		top := tls.Client(nc, ways[0])
		err := encrypt(nc, top)
		switch {
		case err == nil:
			nc = top
		case errors.Is(err, errDeclined) && len(ways) > 1: // the other way is without
		default:
			return false, fmt.Errorf("encrypt: %w", whyEnded(ctx, err))
		}
	}
	connected()
	if _, err := nc.Write(request); err != nil {
		return true, fmt.Errorf("send: %w", whyEnded(ctx, err))
	}
	// The server sends nothing; a reset is an end as well, and so is one that TLS was not told of.
	_, err = io.Copy(io.Discard, nc)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return true, fmt.Errorf("wait for the server to close: %w", whyEnded(ctx, err))
	}
	return true, nil
}
