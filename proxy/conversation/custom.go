package conversation

import (
	"bytes"
	"maps"
	"slices"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// customs are the names of custom settings (app.x) that a pool has ever seen. PostgreSQL lists them nowhere, so they must be asked for by
// name: names that clients have sent, and those that the database's functions set.
type customs struct {
	names map[string]struct{}
	since int // questions about everything since functions were looked through
	known bool
	texts map[string][]string // the settings that texts give to set_config
}

// namesEvery is after how many questions functions are looked through anew.
const namesEvery = 256

// namesDue reports whether the next question is to look through the database's functions.
func (h *Shared) namesDue() bool {
	x := &h.customs
	if x.since++; x.known && x.since < namesEvery {
		return false
	}
	x.known, x.since = true, 0
	return true
}

// addCustom remembers names, and reports whether one of them is new.
func (h *Shared) addCustom(names []string) (news bool) {
	x := &h.customs
	for _, name := range names {
		if _, has := x.names[name]; has || !custom(name) || len(x.names) >= customNamesMax {
			continue
		}
		if x.names == nil {
			x.names = map[string]struct{}{}
		}
		x.names[name], news = struct{}{}, true
	}
	return news
}

// addCustomOf remembers the names in a set.
func (h *Shared) addCustomOf(set *session.Set) {
	for _, o := range set.Settings() {
		if custom(o.Name) {
			h.addCustom([]string{o.Name})
		}
	}
}

// unlisted are the settings that no list has: the custom ones, and the role.
func (h *Shared) unlisted() []string {
	return append(slices.Sorted(maps.Keys(h.customs.names)), "role")
}

// boundNames are the parameters of a Bind that may be names of settings, for a text that has set_config($1, ...). nil: none, or too many.
func boundNames(body []byte) (names []string) {
	values, err := wire.PeekParameters(body)
	if err != nil {
		return nil
	}
	for _, v := range values {
		switch lower := bytes.ToLower(v); {
		case len(names) == askedNamesMax:
			return nil
		case len(v) <= 63 && plainSetting(lower):
			names = append(names, string(lower))
		}
	}
	return names
}

// configs are the settings that a text gives to set_config, nil if it does not name all of them. What it cost to find out is remembered.
func (h *Shared) configs(text []byte) []string {
	x := &h.customs
	if names, ok := x.texts[string(text)]; ok {
		return names
	}
	var names []string
	if !configsOnly(text, func(name string) bool {
		names = append(names, name)
		return true
	}) {
		names = nil
	}
	h.addCustom(names)
	if len(text) <= verdictTextMax {
		if x.texts == nil || len(x.texts) >= verdictsMax {
			x.texts = map[string][]string{}
		}
		x.texts[string(bytes.Clone(text))] = names
	}
	return names
}
