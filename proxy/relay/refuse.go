package relay

import (
	"weir/pool"
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// waitFailed tells a client why it got no backend. One that is logged in stays so: the request that could not be served fails
// like any other statement, and the next one may succeed.
func (c *Client) waitFailed(err *pgerror.Error) {
	if c.doomed {
		return
	}
	if !c.greeted || !c.refuse(err) {
		c.fail(err.WithSeverity(pgerror.SeverityFatal))
	}
}

// refuse answers the parked request with an error in the server's stead, and makes the client idle again. It cannot if the
// request has not arrived whole: then it changes nothing and reports false.
func (c *Client) refuse(cause *pgerror.Error) bool {
	io := &c.lane.engine.io
	answer := appendRefusal(io.Borrow(512), c.carry, cause)
	if answer == nil {
		return false
	}
	c.lane.totals.WeirErrors++
	io.Return(c.carry)
	c.carry = nil
	c.move(clientIdle)
	c.write(answer)
	io.Return(answer)
	c.readOn()
	return true
}

// appendRefusal answers the requests in p as a server would to which each of them is an error: one ErrorResponse and one
// ReadyForQuery for each Query, and for each run of extended-protocol messages up to its Sync. Nil: p does not end with a
// request's end.
func appendRefusal(dst, p []byte, cause *pgerror.Error) []byte {
	err := cause.WithSeverity(pgerror.SeverityError)
	skipping := false
	for len(p) >= wire.HeaderLen {
		f := wire.PeekFrame(p)
		if f.CheckClient() != wire.FrameOK || f.Total() > len(p) {
			return nil
		}
		p = p[f.Total():]
		switch f.Type {
		case wire.ClientQuery, wire.ClientFunctionCall:
			if !skipping {
				dst = wire.AppendErrorResponse(dst, err)
				dst = wire.AppendReadyForQuery(dst, wire.TxIdle)
			}
		case wire.ClientParse, wire.ClientBind, wire.ClientDescribe, wire.ClientExecute, wire.ClientClose:
			if !skipping {
				dst = wire.AppendErrorResponse(dst, err)
				skipping = true
			}
		case wire.ClientSync:
			skipping = false
			dst = wire.AppendReadyForQuery(dst, wire.TxIdle)
		case wire.ClientTerminate:
			return nil
		}
	}
	if skipping || len(p) > 0 {
		return nil
	}
	return dst
}

// waitError is what a client is told whose wait has failed.
func (l *Lane) waitError(d pool.Decision) *pgerror.Error {
	switch {
	case d.Why == pool.CauseLoginFailed && l.dialError != nil:
		return l.dialError.Client
	case d.Why == pool.CauseDrain:
		return pgerror.ShuttingDown
	}
	return pgerror.NoBackend(l.describeWait(d.Waited))
}
