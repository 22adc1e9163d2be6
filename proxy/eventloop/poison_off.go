//go:build !invariants

package eventloop

func poison([]byte) {}
