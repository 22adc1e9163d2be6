//go:build !invariants

package pool

// invariants tells tests which build this is.
const invariants = false

type checker struct{}

func (*checker) begin(*Pool) {}
func (*checker) take()       {}
func (*checker) check(*Pool) {}
