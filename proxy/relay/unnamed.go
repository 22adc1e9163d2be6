package relay

import "weir/proxy/sqlscan"

// unnamed follows the unnamed statement of a backend. PostgreSQL keeps it until the next Parse of it or the next simple Query, so it
// may be that of a client which had the backend before.
type unnamed struct {
	left    bool // there may be one
	foreign bool // it may be an earlier client's: it is closed before the present client's first message
	parsed  bool // the present client has sent a Parse of it, and nothing since that uses it: the next batch may bind it
	done    bool // a Parse has been answered that may be that one
	named   bool // where statements are not shared: a named one was sent and is not answered yet

	effects sqlscan.Effects // of the texts that the present client has parsed as it: one of them may be run again
}

// leased begins anew with another client, or with the same one after others.
func (u *unnamed) leased() { *u = unnamed{left: u.left, foreign: u.left} }

// gone notes that there is none.
func (u *unnamed) gone() { *u = unnamed{} }

// sent notes a Parse of it. Whether that replaces the one before depends on answers to come, so the effects of both count.
func (u *unnamed) sent(e sqlscan.Effects) {
	u.left, u.parsed = true, true
	u.effects |= e
}

// used notes a Bind of it, or a Query, which destroys it.
func (u *unnamed) used() { u.parsed = false }

// settled notes that all has been answered.
func (u *unnamed) settled() {
	u.parsed = u.parsed && u.done
	u.done, u.named = u.parsed, false
}
