package config

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"
)

// saltSecretMin is the least length of a salt_file's text, in bytes: strangers are given what is made of it, and could try short ones.
const saltSecretMin = 16

func readSaltFile(name string) (Secret, error) {
	text, err := readBounded(name, secretMax+2)
	if err != nil {
		return Secret{}, fmt.Errorf("cannot be read: %w", err)
	}
	line := strings.TrimRight(string(text), "\r\n")
	if len(line) < saltSecretMin || len(line) > secretMax {
		return Secret{}, fmt.Errorf("%s must hold from %d to %d bytes (got %d)", name, saltSecretMin, secretMax, len(line))
	}
	return NewSecret(line), nil
}

// SaltMaterial is a secret that two weirs with one configuration share, and that a restart does not change: the text of salt_file, or
// else a digest of all passwords that the configuration and auth_file have. It is not set if there are none.
//
// What is made of it is shown to strangers, so it must be stretched first: of few and weak passwords it is a weak secret.
func (c *Config) SaltMaterial() Secret {
	if c.SaltSecret.IsSet() {
		return c.SaltSecret
	}
	h, n := sha256.New(), 0
	add := func(kind, name string, s Secret) {
		if s.IsSet() {
			n++
			writeCounted(h, kind, name, s.Reveal())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Databases)) {
		add("database", name, c.Databases[name].Password)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		add("user", name, c.Users[name].Password)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Accounts)) {
		add("account", name, c.Accounts[name])
	}
	if n == 0 {
		return Secret{}
	}
	return NewSecret(string(h.Sum(nil)))
}

// writeCounted writes texts so that others give other bytes.
func writeCounted(h hash.Hash, texts ...string) {
	for _, text := range texts {
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) // a hash never fails
		_, _ = io.WriteString(h, text)
	}
}

// Stored are the passwords of all users that the configuration and auth_file know, in no order.
func (c *Config) Stored() []Secret {
	var all []Secret
	for _, u := range c.Users {
		if u.Password.IsSet() {
			all = append(all, u.Password)
		}
	}
	for name, s := range c.Accounts {
		if s.IsSet() && !c.Users[name].Password.IsSet() {
			all = append(all, s)
		}
	}
	return all
}
