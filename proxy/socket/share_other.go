//go:build !linux

package socket

import "errors"

const canShare = false

// Shared reports whether another socket listens where this one does.
func Shared(int) (bool, error) { return false, errors.ErrUnsupported }

// Divert has the kernel give new connections to another socket that listens where this one does.
func Divert(int) error { return errors.ErrUnsupported }

func undivert(int) error { return nil }
