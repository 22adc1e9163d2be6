package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
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
	ways, request := t.attempts(), wire.AppendCancelRequest(nil, pid, secret)
	sent, err := t.cancel(ctx, ways, request)
	if !sent && len(ways) > 1 && ctx.Err() == nil {
		_, err = t.cancel(ctx, ways[1:], request)
	}
	if err != nil {
		return fmt.Errorf("cancel on %s: %w", t.Address(), err)
	}
	return nil
}

// cancel makes one attempt, in the first of these ways to encrypt it: the key is a
// secret worth keeping. sent says that the request may have reached the server, so that
// another is of no use.
func (t Target) cancel(ctx context.Context, ways []*tls.Config, request []byte) (sent bool, err error) {
	nc, err := t.dial(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = nc.Close() }()
	socket := nc // below TLS, whose connection takes nc's place meanwhile
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if ways[0] != nil {
		top, err := encrypt(nc, ways[0])
		switch {
		case err == nil:
			nc = top
		case errors.Is(err, errDeclined) && len(ways) > 1: // the other way is without
		default:
			return false, fmt.Errorf("encrypt: %w", whyEnded(ctx, err))
		}
	}
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

var errDeclined = errors.New(noTLS)

// encrypt asks the server for TLS and does its handshake.
func encrypt(nc net.Conn, config *tls.Config) (net.Conn, error) {
	if _, err := nc.Write(wire.AppendSSLRequest(nil)); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(nc, answer[:]); err != nil {
		return nil, err
	}
	switch answer[0] {
	case 'S':
	case 'N':
		return nil, errDeclined
	default:
		return nil, fmt.Errorf("the server answers %q to a request for TLS", answer[0])
	}
	c := tls.Client(nc, config)
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	return c, nil
}

// whyEnded prefers the context's reason to the deadline that it has set.
func whyEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
