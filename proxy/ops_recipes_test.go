package proxy_test

import (
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// What frameworks and drivers send when they connect, as docs/recipes.md lists it, pins no backend, and holds on every backend.
func TestWhatFrameworksSendAtConnectPinsNothing(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\n")
	for name, c := range map[string]struct {
		startup  []string
		queries  []string // simple
		extended []string // unnamed statements
		setting  string
		want     string
	}{
		"rails": {
			queries: []string{
				"SET client_min_messages TO 'warning'", "SET standard_conforming_strings = on", "SET intervalstyle = iso_8601",
				"SET SESSION timezone TO 'UTC'", "SHOW TIME ZONE", "SHOW search_path",
			},
			setting: "intervalstyle", want: "iso_8601",
		},
		"rails with variables": {
			queries: []string{"SET SESSION statement_timeout TO 5000", "SET SESSION lock_timeout TO '2s'", "SET search_path TO app,public"},
			setting: "statement_timeout", want: "5s",
		},
		"django":  {queries: []string{"SET TIME ZONE 'UTC'"}, setting: "timezone", want: "UTC"},
		"laravel": {queries: []string{"set names 'utf8'", "set time zone 'Europe/Berlin'"}, setting: "timezone", want: "Europe/Berlin"},
		"jdbc": {
			startup: []string{"DateStyle", "ISO", "TimeZone", "Europe/Berlin", "extra_float_digits", "2"},
			extended: []string{
				"SET extra_float_digits = 3", "SET application_name = 'PostgreSQL JDBC Driver'",
				"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
			},
			setting: "default_transaction_isolation", want: "serializable",
		},
		"node": {startup: []string{"client_encoding", "UTF8", "application_name", "postgres.js"}, setting: "application_name", want: "postgres.js"},
	} {
		t.Run(name, func(t *testing.T) {
			client, other := enter(t, w, d, c.startup...), enter(t, w, d)
			for _, sql := range c.queries {
				client.Query(sql)
			}
			for _, sql := range c.extended {
				client.Send(&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
				if err := client.Answer().Err(); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			expectPool(t, w, "without a pin", unpinned)
			first := client.Query(pidQuery)
			other.Query("BEGIN") // takes the backend that the client had
			if pid := other.Query(pidQuery); pid != first {
				t.Logf("the other client has %s, not %s", pid, first)
			}
			if got := client.Query("SHOW " + c.setting); got != c.want {
				t.Errorf("%s is %q on another backend, want %q", c.setting, got, c.want)
			}
			other.Query("COMMIT")
			client.Terminate()
			other.Terminate()
		})
	}
}
