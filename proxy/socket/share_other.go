//go:build !linux

package socket

import "errors"

const canShare = false

// Shared reports whether another socket listens where this one does.
func Shared(int) (bool, error) { return false, errors.ErrUnsupported }
