package socket

import "golang.org/x/sys/unix"

const bytesToRead = unix.TIOCINQ
