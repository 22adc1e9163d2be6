//go:build !linux

package main

// avoidHugePages is for Linux, which hands them out unasked.
func avoidHugePages() {}
