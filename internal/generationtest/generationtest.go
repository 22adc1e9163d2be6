// Package generationtest makes generations of configurations that tests write down.
//
// It is support for the tests of what follows a generation, so it depends on that alone.
package generationtest

import (
	"log/slog"
	"testing"

	"weir/config"
	"weir/proxy/generation"
)

// Of is the generation of a configuration.
func Of(t testing.TB, toml string) *generation.Generation {
	t.Helper()
	c, err := config.Parse("test.toml", []byte(toml), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	g, err := generation.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Current has the generation of a configuration as the present one.
func Current(t testing.TB, toml string) *generation.Current {
	t.Helper()
	now := new(generation.Current)
	now.Store(Of(t, toml))
	return now
}
