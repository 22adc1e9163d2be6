package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestEveryRowOfTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for i := range settings {
		s := &settings[i]
		name := s.section + "." + s.name
		if seen[name] {
			t.Errorf("%s: two rows", name)
		}
		seen[name] = true
		if indexOfSection(s.section) < 0 {
			t.Errorf("%s: no such section", name)
		}
		places := 0
		for _, there := range []bool{s.field != nil, s.database != nil, s.user != nil, s.peer != nil} {
			if there {
				places++
			}
		}
		if places != 1 {
			t.Errorf("%s: %d places", name, places)
		}
		if (s.override != nil) != (s.in != 0) {
			t.Errorf("%s: override and its scope do not agree", name)
		}
		if !strings.HasSuffix(s.meaning, ".") || s.why != "" && !strings.HasSuffix(s.why, ".") {
			t.Errorf("%s: a text is no sentence", name)
		}
		if s.field == nil && s.example == "" && s.defaultText() == "" {
			t.Errorf("%s: neither default nor example", name)
		}
		if s.field == nil {
			continue
		}
		if n, ok := s.field(Default()).(*int); ok && (int64(*n) < s.min || int64(*n) > s.max || s.unit == "") {
			t.Errorf("%s: default %d of %q is not within %d and %d", name, *n, s.unit, s.min, s.max)
		}
		// Two rows that share a place would read and show each other's value.
		for j := range settings[:i] {
			c := Default()
			if o := &settings[j]; o.field != nil && o.field(c) == s.field(c) {
				t.Errorf("%s and %s have the same place", name, o.name)
			}
		}
	}
}

// A field of Config that no row leads to could never be set.
func TestEveryFieldHasARow(t *testing.T) {
	c := Default()
	var places []any
	for i := range settings {
		if settings[i].field != nil {
			places = append(places, settings[i].field(c))
		}
	}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		part := v.Field(i)
		if part.Type() == reflect.TypeFor[Secret]() {
			continue // of a file that another row names
		}
		for j := 0; part.Kind() == reflect.Struct && j < part.NumField(); j++ {
			if !slices.Contains(places, part.Field(j).Addr().Interface()) {
				t.Errorf("%s.%s has no row", v.Type().Field(i).Name, part.Type().Field(j).Name)
			}
		}
	}
	var o Override
	places = nil
	for i := range settings {
		if settings[i].override != nil {
			places = append(places, settings[i].override(&o))
		}
	}
	v = reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		if !slices.Contains(places, v.Field(i).Addr().Interface()) {
			t.Errorf("Override.%s has no row", v.Type().Field(i).Name)
		}
	}
}

// other returns values for a setting that differ from its default and from each other.
func other(t *testing.T, s *setting) (global, database, user string) {
	t.Helper()
	switch s.field(Default()).(type) {
	case *int:
		return "11", "12", "13"
	case *Size:
		return `"11KiB"`, `"12KiB"`, `"13KiB"`
	case *Duration:
		return `"11s"`, `"12s"`, `"13s"`
	case *bool:
		return "true", "false", ""
	case *string:
		return `"one"`, `"two"`, `"three"`
	case *SessionAudit:
		return `"always"`, `"off"`, "" // no user has one
	case *PoolMode:
		return `"statement"`, `"session"`, `"transaction"`
	case *SessionState:
		return `"reject"`, `"ignore"`, `"follow"`
	case *ProtocolVersion:
		return `"3.2"`, `"3.0"`, "" // no user has one
	}
	t.Fatalf("%s: no values for its type", s.name)
	return
}

// effectiveOf finds a setting's value in PoolSettings by the name of its field in Override.
func effectiveOf(s *setting, p PoolSettings) string {
	var o Override
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		if v.Field(i).Addr().Interface() == s.override(&o) {
			place := reflect.New(v.Field(i).Type().Elem())
			place.Elem().Set(reflect.ValueOf(p).FieldByName(v.Type().Field(i).Name))
			return show(place.Interface())
		}
	}
	return "none"
}

// The order is the same for every setting: the user's value, the database's, that of all.
func TestUserWinsOverDatabaseOverAll(t *testing.T) {
	for i := range settings {
		s := &settings[i]
		if s.override == nil {
			continue
		}
		global, database, user := other(t, s)
		for where := range scope(4) {
			if where&^s.in != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", s.name, where), func(t *testing.T) {
				text := fmt.Sprintf("[%s]\n%s = %s\n[databases.shop]\nhost = \"h\"\n", s.section, s.name, global)
				if s.name == "min_pool_size" {
					text = fmt.Sprintf("[pool]\npool_size = 50\nmin_pool_size = %s\n[databases.shop]\nhost = \"h\"\n", global)
				}
				want, place := global, "["+s.section+"]"
				if where&inDatabases != 0 {
					text += s.name + " = " + database + "\n"
					want, place = database, "[databases.shop]"
				}
				text += "[users.app]\n"
				if where&inUsers != 0 {
					text += s.name + " = " + user + "\n"
					want, place = user, "[users.app]"
				}
				c := parse(t, text)
				if got := effectiveOf(s, c.PoolSettings("shop", "app")); got != want {
					t.Errorf("got %s, want %s from\n%s", got, want, text)
				}
				if got := c.SetIn(s.name, "shop", "app"); got != place {
					t.Errorf("set in %s, want %s", got, place)
				}
				if got := effectiveOf(s, c.PoolSettings("none", "nobody")); got != global {
					t.Errorf("of an unknown database and user: got %s, want %s", got, global)
				}
			})
		}
	}
}

func TestSettingsOfPoolFollowTheFallBack(t *testing.T) {
	c := parse(t, `
		[databases."*"]
		host = "h"
		pool_size = 3
		min_pool_size = 3
		[databases.own]
		host = "h"
		[users.small]
		pool_size = 2`)
	for _, tt := range []struct {
		database, user string
		size, min      int
		where          string
	}{
		{"other", "x", 3, 3, `[databases."*"]`},
		{"own", "x", 20, 0, "[pool]"},
		{"other", "small", 2, 2, "[users.small]"}, // never more kept than may be
	} {
		s := c.PoolSettings(tt.database, tt.user)
		if s.PoolSize != tt.size || s.MinPoolSize != tt.min {
			t.Errorf("%s/%s: pool_size %d, min_pool_size %d", tt.database, tt.user, s.PoolSize, s.MinPoolSize)
		}
		if got := c.SetIn("pool_size", tt.database, tt.user); got != tt.where {
			t.Errorf("%s/%s: set in %s, want %s", tt.database, tt.user, got, tt.where)
		}
	}
}

func TestNearestKnownWord(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"pool_sise", "pool_size"},
		{"poolsize", "pool_size"},
		{"default_pool_size", "pool_size"},
		{"modes", "mode"},
		{"Mode", "mode"},
		{"reserve_pool_timout", "reserve_pool_timeout"},
		{"xy", ""},
		{"", ""},
		{"unrelated", ""},
	} {
		if got := nearest(tt.word, settingNames("pool")); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.word, got, tt.want)
		}
	}
}
