package pool

import (
	"fmt"
	"time"
)

// DecisionKind says what the caller is to do.
type DecisionKind uint8

const (
	// NoDecision is the zero value and never decided.
	NoDecision DecisionKind = iota
	// Lease hands Backend to Client, which waited for Waited.
	Lease
	// Dial asks for a new backend, to be known as Backend. Answered by Dialled
	// or DialFailed.
	Dial
	// Close ends Backend, which is idle, just freed or just dialled.
	Close
	// Fail turns Client away, which waited for Waited.
	Fail
	// Abandon says that the Dial of Backend is of no use any more. It is
	// answered all the same, and the sooner, the sooner others may be dialled.
	Abandon
	// Give sends Backend, which is idle, or just freed, dialled or arrived, to Lane.
	// Answered by Departed, whose Transfer goes along and is reported there by
	// Arrived, or by Lost or Discard.
	Give
	// Ask reports Asked to Lane, with the number of this lane.
	Ask
	// Wake reports Woken to Lane, with Reply.
	Wake
	// Rest reports Rested here, once the loop has done all that there was to do.
	Rest
)

// String returns the word that scripts use.
func (k DecisionKind) String() string {
	switch k {
	case NoDecision:
		return "none"
	case Lease:
		return "lease"
	case Dial:
		return "dial"
	case Close:
		return "close"
	case Fail:
		return "fail"
	case Abandon:
		return "abandon"
	case Give:
		return "give"
	case Ask:
		return "ask"
	case Wake:
		return "wake"
	case Rest:
		return "rest"
	}
	return fmt.Sprintf("decision(%d)", uint8(k))
}

// Cause is the reason of a Close or a Fail.
type Cause uint8

const (
	// NoCause is the zero value; Lease and Dial carry it.
	NoCause Cause = iota
	// CauseLifetime closes a backend older than its share of ServerLifetime.
	CauseLifetime
	// CauseIdleTimeout closes a backend unused for ServerIdleTimeout.
	CauseIdleTimeout
	// CausePoolIdle closes the idle backends of a pool that has had no client for
	// PoolIdleTimeout.
	CausePoolIdle
	// CauseVacated closes them because the caller needs them gone.
	CauseVacated
	// CauseSurplus closes a backend above Size: a reserve backend that is no
	// longer needed, or one too many since Configure.
	CauseSurplus
	// CauseRenewed closes a backend of before Renew.
	CauseRenewed
	// CauseReclaimed closes an idle backend for the sake of another pool.
	CauseReclaimed
	// CausePaused closes a backend because the pool is paused.
	CausePaused
	// CauseQueryWaitTimeout fails a client that waited for QueryWaitTimeout.
	CauseQueryWaitTimeout
	// CauseLoginFailed fails a client because no backend can be had. The caller
	// tells it the error of the last failed dial.
	CauseLoginFailed
)

// String returns the word that scripts and close reasons use: the setting's
// name where there is one.
func (c Cause) String() string {
	switch c {
	case NoCause:
		return "none"
	case CauseLifetime:
		return "server_lifetime"
	case CauseIdleTimeout:
		return "server_idle_timeout"
	case CausePoolIdle:
		return "pool_idle_timeout"
	case CauseVacated:
		return "vacated"
	case CauseSurplus:
		return "surplus"
	case CauseRenewed:
		return "renewed"
	case CauseReclaimed:
		return "reclaimed"
	case CausePaused:
		return "paused"
	case CauseQueryWaitTimeout:
		return "query_wait_timeout"
	case CauseLoginFailed:
		return "login_failed"
	}
	return fmt.Sprintf("cause(%d)", uint8(c))
}

// Decision is one thing for the caller to do. Kind says which fields count.
type Decision struct {
	Waited  time.Duration // Lease, Fail: since Want
	Client  ClientID      // Lease, Fail
	Backend BackendID     // Lease, Dial, Close, Give
	Lane    int           // Give, Ask, Wake
	Kind    DecisionKind
	Why     Cause // Close, Fail
	Reply   bool  // Wake: the lane has asked
}

// String prints the decision as scripts do: "lease b1 c2", "close b1 surplus".
func (d Decision) String() string {
	switch d.Kind {
	case Lease:
		return fmt.Sprintf("lease b%d c%d", d.Backend, d.Client)
	case Dial, Abandon:
		return fmt.Sprintf("%s b%d", d.Kind, d.Backend)
	case Close:
		return fmt.Sprintf("close b%d %s", d.Backend, d.Why)
	case Fail:
		return fmt.Sprintf("fail c%d %s %s", d.Client, d.Why, d.Waited)
	case Give:
		return fmt.Sprintf("give b%d l%d", d.Backend, d.Lane)
	case Ask, Wake:
		return fmt.Sprintf("%s l%d", d.Kind, d.Lane)
	case NoDecision, Rest:
	}
	return d.Kind.String()
}

// Decisions returns what the last event decided, in the order in which it is to
// be done. The slice is the pool's and valid until the next event.
func (p *Pool) Decisions() []Decision {
	p.checker.take()
	return p.decisions
}

func (p *Pool) decide(d Decision) { p.decisions = append(p.decisions, d) }
