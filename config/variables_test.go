package config

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatLooksLikeAVariableIsWarnedOf(t *testing.T) {
	c := configOf(t, `
[auth]
auth_query = "SELECT a, b FROM pg_catalog.f($1)"
[admin]
admin_users = ["${BOSS}"]
[users.a]
password = "x${SECRET}"
[users.b]
password = "$(SECRET)"
[users.c]
password = "$2y$10${ ${}"
[databases."a b"]
host = "${HOST}"
[databases."a b".settings]
"app.tenant" = "${TENANT}"
`)
	var got []string
	for _, w := range c.Warnings() {
		if where, _, found := strings.Cut(w, " has something like ${NAME} in it"); found {
			got = append(got, where)
		}
	}
	want := []string{"[admin] admin_users", `[databases."a b"] host`, `[databases."a b".settings] "app.tenant"`, "[users.a] password", "[users.b] password"}
	if !slices.Equal(got, want) {
		t.Errorf("warned of %q, want %q", got, want)
	}
	if text := strings.Join(c.Warnings(), "\n"); strings.Contains(text, "SECRET") {
		t.Errorf("a password is shown: %s", text)
	}
}
