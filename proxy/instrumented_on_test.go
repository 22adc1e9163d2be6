//go:build race || invariants

package proxy_test

// instrumented: the detector and the invariants' checks allocate for themselves.
const instrumented = true
