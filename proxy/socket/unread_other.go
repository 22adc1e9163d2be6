//go:build !linux

package socket

// bytesToRead is FIONREAD, _IOR('f', 127, int), which x/sys/unix does not name.
const bytesToRead = 0x4004667f
