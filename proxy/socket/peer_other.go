//go:build !linux && !darwin && !freebsd

package socket

import "errors"

func peerUID(int) (uint32, error) { return 0, errors.ErrUnsupported }

func peerPID(int) uint32 { return 0 }
