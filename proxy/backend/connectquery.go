package backend

import (
	"context"
	"errors"
	"slices"
	"time"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// errNotAtRest is a query after which the session is not fit for clients.
var errNotAtRest = errors.New("it leaves a transaction open")

// Run carries out a query of the operator's, of one statement or several, whose results are thrown away. What the server reports
// meanwhile goes to Params. It takes no longer than a login may. After an error the connection is of no use. An error of the
// server's is a *ServerMessage.
func (c *Conn) Run(ctx context.Context, sql string, limit time.Duration) error {
	ctx, cancel := Within(ctx, limit)
	defer cancel()
	stop := endWith(ctx, c.Net)
	err := c.run(sql)
	if !stop() {
		if err == nil {
			err = ctx.Err()
		}
		return whyEnded(ctx, err)
	}
	return err
}

func (c *Conn) run(sql string) error {
	if _, err := c.stream().Write(wire.AppendQuery(nil, sql)); err != nil {
		return err
	}
	var failed error
	in := messages{from: c.stream(), left: talkMax}
	for {
		m, err := in.next()
		if err != nil {
			return errors.Join(failed, err)
		}
		switch m.kind {
		case wire.ServerErrorResponse:
			if said := readServerMessage(m.body); failed == nil {
				failed = &said
			}
		case wire.ServerParameterStatus:
			if name, value, err := wire.PeekParameterStatus(m.body); err == nil && !c.reported(string(name), string(value)) {
				return errManyParameters
			}
		case wire.ServerCopyInResponse, wire.ServerCopyOutResponse, wire.ServerCopyBothResponse:
			return errCopies
		case wire.ServerReadyForQuery:
			if status, err := wire.PeekReadyForQuery(m.body); failed == nil && (err != nil || status != wire.TxIdle) {
				return errNotAtRest
			}
			return failed
		}
	}
}

func (c *Conn) reported(name, value string) bool {
	i := slices.IndexFunc(c.Params, func(p session.Setting) bool { return p.Name == name })
	if i < 0 {
		c.Params = append(c.Params, session.Setting{Name: name, Value: value})
		return len(c.Params) <= wire.MaxReported
	}
	c.Params[i].Value = value
	return true
}
