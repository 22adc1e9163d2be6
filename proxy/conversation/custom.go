package conversation

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir/proxy/ascii"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// customs are the names of custom settings (app.x) that a pool has ever seen. PostgreSQL lists them nowhere, so they must be asked for by
// name: names that clients have sent, and those that the database's functions set.
type customs struct {
	names map[string]struct{}
	since int // questions about everything since functions were looked through
	known bool
	texts map[string]configs // what texts give to set_config
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

// unlisted are those of the pool, those that the backend is in, and those that texts have named: what is not asked for counts as taken back.
func (s *Server) unlisted() []string {
	names := s.shared.unlisted()
	add := func(name string) {
		if custom(name) && !slices.ContainsFunc(names, func(had string) bool { return session.SameName(had, name) }) {
			names = append(names, name)
		}
	}
	for _, o := range s.set.Settings() {
		add(o.Name)
	}
	for _, name := range s.question.named {
		add(name)
	}
	return names
}

// unlisted are the settings that no list has: the custom ones, and the role.
func (h *Shared) unlisted() []string {
	return append(slices.Sorted(maps.Keys(h.customs.names)), "role")
}

// spokenSetting finds custom settings that a text sets, wherever in it: what DO runs stands in a string.
var spokenSetting = regexp.MustCompile(`(?i)(?:set_config\s*\(\s*'+|\bset\s+(?:session\s+)?)("?[a-z_][\w$]*"?\."?[a-z_][\w$".]*)`)

// spoken are the custom settings that a text seems to set. The pool remembers those of texts of which anything may come: functions may set them, too.
func (h *Shared) spoken(text []byte, e sqlscan.Effects) (names []string) {
	if !mentions(text, "set") {
		return nil
	}
	for _, m := range spokenSetting.FindAllSubmatch(text, customNamesMax) {
		names = append(names, ascii.ToLower(strings.ReplaceAll(string(m[1]), `"`, "")))
	}
	if e&anything != 0 {
		h.addCustom(names)
	}
	return names
}

// setters are the effects of texts that may set custom settings.
const setters = sqlscan.Set | sqlscan.SetConfig | anything

// named are the custom settings that a text names which may set others as well. sure: it names all that it sets.
func (s *Server) named(text []byte, e sqlscan.Effects) (names []string, sure bool) {
	sure = true
	if e&sqlscan.Set != 0 {
		sure = sqlscan.Settings(text, s.mode, func(u sqlscan.SettingUse) bool {
			names = append(names, u.Name)
			return true
		}) || ascii.Only(text)
	}
	if e&sqlscan.SetConfig != 0 {
		names = append(names, s.shared.configs(text).names...)
	}
	if e&anything != 0 || e&sqlscan.Set != 0 && len(names) == 0 {
		names = append(names, s.shared.spoken(text, e)...)
		sure = sure && !(mentions(text, `u&"`) && mentions(text, "set"))
	}
	return names, sure
}

// configs are what a text gives to set_config as the names of settings.
type configs struct {
	names  []string // that are plain literals, in lower case
	params []int    // that are parameters, by their numbers from 1
	all    bool     // it has no others
}

// literally are the names, if no other call has one that the text does not say; nil: one has, or there is no call.
func (c *configs) literally() []string {
	if !c.all || len(c.params) > 0 {
		return nil
	}
	return c.names
}

// configs is configsOf, for a text that comes again. What it cost to find out is remembered.
func (h *Shared) configs(text []byte) configs {
	x := &h.customs
	if c, ok := x.texts[string(text)]; ok {
		return c
	}
	c := configsOf(text)
	h.addCustom(c.literally())
	if len(text) <= verdictTextMax {
		x.texts = remember(x.texts, verdictsMax, string(text), c)
	}
	return c
}

// configsOf finds each set_config. It looks at the bare bytes: what stands in a comment or a string can only make it find more.
func configsOf(text []byte) configs {
	const call = "set_config"
	c := configs{all: true}
	lower := ascii.AppendLower(nil, text)
	for {
		i := bytes.Index(lower, []byte(call))
		if i < 0 {
			return c
		}
		lower = lower[i+len(call):]
		switch name, param := configName(lower); {
		case name != "":
			c.names = append(c.names, name)
		case param > 0:
			c.params = append(c.params, param)
		default:
			c.all = false
		}
	}
}

// configArgument is what may stand between set_config and the comma behind its first argument: a plain literal, or a parameter, without a
// type or with one that cuts no value.
var configArgument = regexp.MustCompile(`^"?\s*\(\s*(?:'([a-z0-9_.]+)'|\$(\d{1,5})(?:\s*::\s*(?:text|varchar|character\s+varying))?)\s*,`)

// configName reads what follows set_config.
func configName(rest []byte) (name string, param int) {
	m := configArgument.FindSubmatch(rest)
	if m == nil {
		return "", 0
	}
	param, _ = strconv.Atoi(string(m[2]))
	return string(m[1]), param
}

// bound are the names that a text gives to set_config with the parameters of a Bind; nil: nobody can tell, or none can be asked for.
func (c *configs) bound(values [][]byte) []string {
	if !c.all {
		return nil
	}
	names := slices.Clone(c.names)
	for _, n := range c.params {
		if n > len(values) || !askableName(values[n-1]) {
			return nil
		}
		names = append(names, ascii.ToLower(string(values[n-1])))
	}
	return names
}

// askableName reports whether a setting can be asked for by a name of a Bind: in each encoding the same, and not too long.
func askableName(name []byte) bool {
	return len(name) > 0 && len(name) <= askedNameBytesMax && !slices.ContainsFunc(name, func(c byte) bool { return c <= ' ' || c > '~' })
}

// askedNameBytesMax bounds the name of a setting that is asked for. set_config cuts none, but a parameter may be of PostgreSQL's type name.
const askedNameBytesMax = 63
