//go:build !invariants

package login

// stretching is the number of PBKDF2's iterations between the secret and what strangers see, about 0.15 s: they can try secrets at
// leisure, and the secret may come from a weak password. Only tests change it, before they begin.
var stretching = 1 << 19
