//go:build invariants

package login

// stretching is less where only tests run: with the race detector it would take seconds of each weir that has a password, and on a busy machine longer
// than a test waits for a login.
var stretching = 1 << 9
