package conversation

import (
	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// refusal is a request that weir answers in the server's stead, because there is no backend for it.
type refusal struct {
	err      *pgerror.Error // nil: no request is being refused
	told     bool           // the error has been told
	skipping bool           // the error has been told, and the Sync has not come yet
}

// Refusing reports whether the rest of a refused request is still to come: it goes to Refuse as well.
func (c *Client) Refusing() bool { return c.refusal.err != nil }

// Refuse answers the requests in p as a server would to which each of them is an error: one ErrorResponse and one ReadyForQuery for each
// Query, and for each run of messages up to its Sync. cause is nil for the rest of a request that was refused before. What the client
// gets is appended to dst and is the step's Answer. The client has no backend.
func (c *Client) Refuse(dst, p []byte, cause *pgerror.Error) (step ClientStep) {
	return c.refuse(dst, p, cause, false)
}

// RefuseFirst is Refuse for the first of the requests in p only.
func (c *Client) RefuseFirst(dst, p []byte, cause *pgerror.Error) (step ClientStep) {
	return c.refuse(dst, p, cause, true)
}

func (c *Client) refuse(dst, p []byte, cause *pgerror.Error, first bool) (step ClientStep) {
	if cause != nil {
		c.refusal.err = cause.WithSeverity(pgerror.SeverityError)
	}
	c.hold = HoldNone
	pos := c.remainder.take(p)
	c.drop = c.skip > 0
	for pos < len(p) && (c.refusal.skipping || cause != nil && !(first && c.refusal.told)) {
		rest := p[pos:]
		if len(rest) < wire.HeaderLen {
			break
		}
		fr := wire.PeekFrame(rest)
		if fr.CheckClient() != wire.FrameOK || fr.Type == wire.ClientTerminate {
			c.refusal = refusal{}
			break
		}
		dst = c.refusal.answer(dst, fr.Type)
		n := min(fr.Total(), len(rest))
		c.skip = uint32(fr.Total() - n)
		c.drop = c.skip > 0
		pos += n
	}
	if !c.refusal.skipping {
		c.refusal = refusal{}
	}
	step.Took, step.Answer = pos, dst
	return step
}

// answer appends what a message of type t is answered.
func (r *refusal) answer(dst []byte, t byte) []byte {
	switch t {
	case wire.ClientQuery, wire.ClientFunctionCall:
		if !r.skipping {
			dst, r.told = wire.AppendErrorResponse(dst, r.err), true
			dst = wire.AppendReadyForQuery(dst, wire.TxIdle)
		}
	case wire.ClientParse, wire.ClientBind, wire.ClientDescribe, wire.ClientExecute, wire.ClientClose:
		if !r.skipping {
			dst, r.told = wire.AppendErrorResponse(dst, r.err), true
			r.skipping = true
		}
	case wire.ClientSync:
		r.skipping = false
		dst = wire.AppendReadyForQuery(dst, wire.TxIdle)
	}
	return dst
}
