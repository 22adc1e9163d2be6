package conversation

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"

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

// namesEvery is after how many questions functions are looked through anew, if there is budget, and namesAnyway after how many in any case.
const (
	namesEvery  = 256
	namesAnyway = 16 * namesEvery
)

// namesDue reports whether the next question is to look through the database's functions.
func (h *Shared) namesDue() bool {
	x := &h.customs
	x.since++
	return !x.known || x.since >= namesAnyway || x.since >= namesEvery && h.records.affords(budgetSamples)
}

// lookedThrough notes that a server has done so. Until then all questions ask for it: a backend that is free must not be ahead of the answer.
func (h *Shared) lookedThrough() { h.customs.known, h.customs.since = true, 0 }

// addCustom remembers names.
func (h *Shared) addCustom(names []string) {
	x := &h.customs
	for _, name := range names {
		if _, has := x.names[name]; has || !custom(name) || len(x.names) >= customNamesMax {
			continue
		}
		if x.names == nil {
			x.names = map[string]struct{}{}
		}
		x.names[name] = struct{}{}
	}
}

// missed remembers names, and reports whether a question has left one of them out that can be asked for. Another backend's answer may have
// brought it meanwhile: then it is not new, and has not been asked for here either.
func (h *Shared) missed(asked, names []string) bool {
	h.addCustom(names)
	return slices.ContainsFunc(names, func(name string) bool {
		_, has := h.customs.names[name]
		return has && !slices.Contains(asked, name)
	})
}

// addCustomOf remembers the names in a set.
func (h *Shared) addCustomOf(set *session.Set) {
	for _, o := range set.Settings() {
		if custom(o.Name) {
			h.addCustom([]string{o.Name})
		}
	}
}

// unlisted are those of the pool, and those that the backend is in: what is not asked for counts as taken back.
func (s *Server) unlisted() []string {
	names := s.shared.unlisted()
	for _, o := range s.set.Settings() {
		if custom(o.Name) && !slices.ContainsFunc(names, func(name string) bool { return session.SameName(name, o.Name) }) {
			names = append(names, o.Name)
		}
	}
	return names
}

// unlisted are the settings that no list has: the custom ones, and the role.
func (h *Shared) unlisted() []string {
	return append(slices.Sorted(maps.Keys(h.customs.names)), "role")
}

// spokenSetting finds custom settings that a text sets, wherever in it: what DO runs stands in a string.
var spokenSetting = regexp.MustCompile(`(?i)(?:set_config\s*\(\s*'+|\bset\s+(?:session\s+)?)([a-z_][a-z0-9_]*\.[a-z_][a-z0-9_.]*)`)

// addSpoken remembers the custom settings that a text of which anything may come seems to set.
func (h *Shared) addSpoken(text []byte) {
	for _, m := range spokenSetting.FindAllSubmatch(text, customNamesMax) {
		h.addCustom([]string{strings.ToLower(string(m[1]))})
	}
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
		x.texts = remember(x.texts, verdictsMax, string(text), names)
	}
	return names
}
