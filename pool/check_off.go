//go:build !invariants

package pool

// invariants tells tests which build this is.
const invariants = false

type checker struct{}

func (p *Pool) check() {}
