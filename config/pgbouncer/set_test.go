package pgbouncer

import (
	"reflect"
	"testing"

	"weir/config"
)

// bare is c without what cannot be compared and what shows only where it came from.
func bare(c *config.Config) config.Config {
	b := *c
	b.Foreign, b.Mean, b.Files, b.Unheeded = nil, nil, nil, nil
	return b
}

// What SET gives a setting of a file that is served is what the file would mean with that line: whatever the setting and the value, also
// where weir's own setting has another unit, another name for no limit, or counts for clients and servers, and where it goes back to what it
// was.
func TestSETMeansWhatTheLineWouldMean(t *testing.T) {
	const file = "[pgbouncer]\nclient_tls_cert_file = a.crt\nclient_tls_key_file = a.key\nauth_type = trust\n[databases]\nd = host=h pool_size=3\n"
	served := func(line string) (*config.Config, bool) {
		r, err := translateText(t, file+"[pgbouncer]\n"+line)
		if err != nil || r.Unservable != nil {
			return nil, false
		}
		return r.Served(), true
	}
	values := []string{
		"0", "1", "3500", "0x10", "010", "0.5", "1e2", "99999999999", "2147483647", "", "session", "statement", "require", "prefer", "disable", "md5", "any",
		"x, y", "default", "fast", "ECDHE-RSA-AES128-GCM-SHA256", "prime256v1", "auto", "tlsv1.3", "all", "SELECT a, b FROM f($1)", "<empty>",
	}
	tried := 0
	for _, s := range settings {
		if s.fixed {
			continue
		}
		for _, value := range values {
			if _, ok := parse(s.kind, s.words, value); !ok {
				continue
			}
			asked, ok := served(s.name + " = " + value)
			if !ok {
				continue
			}
			tried++
			before, _ := served("")
			asked = asked.Keeping(before)
			c, err := before.WithSetting("", s.name, value)
			if err != nil {
				t.Errorf("SET %s = '%s': %v", s.name, value, err)
				continue
			}
			if got, want := bare(c), bare(asked); !reflect.DeepEqual(got, want) {
				t.Errorf("SET %s = '%s' differs from the line:\n%+v\n%+v", s.name, value, got, want)
			}
			former, ok := served(s.name + " = " + s.standard)
			if !ok {
				continue
			}
			former = former.Keeping(before)
			if c, err = c.WithSetting("", s.name, s.standard); err != nil {
				t.Errorf("SET %s = '%s' again: %v", s.name, s.standard, err)
			} else if got, want := bare(c), bare(former); !reflect.DeepEqual(got, want) {
				t.Errorf("SET %s = '%s' after '%s' differs from the line:\n%+v\n%+v", s.name, s.standard, value, got, want)
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d values were tried", tried)
	}
}
