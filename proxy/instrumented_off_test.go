//go:build !race && !invariants

package proxy_test

const instrumented = false
