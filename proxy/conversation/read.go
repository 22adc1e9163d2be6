package conversation

import (
	"bytes"

	"weir/proxy/ascii"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// Effects of conversation's own, of texts that change settings.
const (
	benign  sqlscan.Effects = 1 << 31 // none that can change what texts mean
	legible sqlscan.Effects = 1 << 30 // none that changes how texts are read
)

// changers are the effects by which a text changes settings that it names.
const changers = sqlscan.Set | sqlscan.SetLocal | sqlscan.Reset | sqlscan.SetConfig | sqlscan.SetConfigLocal

// verdict names a text as a server in that mode reads it.
type verdict struct {
	text string
	mode sqlscan.Mode
}

// Limits of what is remembered of texts that change settings: to read the names in them allocates, and the same ones come again.
const (
	verdictsMax    = 512
	verdictTextMax = 512
)

// read is readText, which remembers what it cost something to find out.
func (h *Shared) read(text []byte, mode sqlscan.Mode) sqlscan.Effects {
	e := sqlscan.Scan(text, mode)
	if h.Functions != nil {
		e = h.Functions.Effects(text, mode, e)
	}
	if e&alters == 0 || len(text) > verdictTextMax {
		return named(text, e, mode)
	}
	if known, ok := h.verdicts[verdict{string(text), mode}]; ok {
		return known
	}
	e = named(text, e, mode)
	h.verdicts = remember(h.verdicts, verdictsMax, verdict{string(text), mode}, e)
	return e
}

// remember keeps what it cost something to find out, up to a number of things. Beyond it all are forgotten at once, and found out again.
func remember[K comparable, V any](known map[K]V, most int, k K, v V) map[K]V {
	if known == nil || len(known) >= most {
		known = map[K]V{}
	}
	known[k] = v
	return known
}

// readText is sqlscan.Scan, with benign and legible added.
func readText(text []byte, mode sqlscan.Mode) sqlscan.Effects {
	return named(text, sqlscan.Scan(text, mode), mode)
}

// otherwise is what a text may do under any mode but one.
func otherwise(text []byte, mode sqlscan.Mode) sqlscan.Effects {
	if !ascii.Only(text) {
		return sqlscan.Opaque // and in any encoding
	}
	return readText(text, mode^sqlscan.BackslashStrings)
}

// named adds benign and legible to the effects of a text.
func named(text []byte, e sqlscan.Effects, mode sqlscan.Mode) sqlscan.Effects {
	if e&anything != 0 && mentionsSequences(text) {
		e |= sqlscan.Sequences
	}
	if e&anything != 0 {
		e |= inStrings(text)
	}
	if e&changers != 0 && seeds(text, e, mode) {
		e |= sqlscan.Setseed
	}
	if e&alters == 0 || e&alters&^changers != 0 {
		return e
	}
	if namesOnly(text, e, mode, func(name string) bool { return !session.Meaningful(name) }) {
		return e | benign | legible
	}
	if namesOnly(text, e, mode, func(name string) bool { return !decidesReading(name) }) {
		return e | legible
	}
	return e
}

// inStrings are the effects of what DO and the like may run, as far as its words tell.
func inStrings(text []byte) (e sqlscan.Effects) {
	if mentionsLasting(text) {
		e |= sqlscan.Process
	}
	if mentions(text, "notify") {
		e |= sqlscan.Notify // others are to know who it was
	}
	return e
}

// seeds reports whether a text sets the seed of random() by its setting. That is in no list of PostgreSQL's, and neither a rollback nor the end
// of a SET LOCAL takes it back.
func seeds(text []byte, e sqlscan.Effects, mode sqlscan.Mode) bool {
	if !mentions(text, seedName) {
		return false
	}
	other := func(name string) bool { return name != seedName }
	return e&(sqlscan.SetConfig|sqlscan.SetConfigLocal) != 0 && !configsOnly(text, other) ||
		e&(sqlscan.Set|sqlscan.SetLocal) != 0 && !setsOnly(text, mode, other)
}

const seedName = "seed"

// decidesReading reports whether a setting decides how a server reads texts.
func decidesReading(name string) bool {
	return name == "standard_conforming_strings" || name == "client_encoding" || name == "backslash_quote"
}

// namesOnly reports whether all settings that the text changes are known, and harmless.
func namesOnly(text []byte, e sqlscan.Effects, mode sqlscan.Mode, harmless func(name string) bool) bool {
	if e&(sqlscan.SetConfig|sqlscan.SetConfigLocal) != 0 && !configsOnly(text, harmless) {
		return false
	}
	return e&(sqlscan.Set|sqlscan.SetLocal|sqlscan.Reset) == 0 || setsOnly(text, mode, harmless)
}

// setsOnly is namesOnly for SETs and RESETs.
func setsOnly(text []byte, mode sqlscan.Mode, harmless func(name string) bool) bool {
	return sqlscan.Settings(text, mode, func(u sqlscan.SettingUse) bool {
		switch u.Kind {
		case sqlscan.SetValue, sqlscan.SetDefault:
			return harmless(u.Name)
		case sqlscan.ResetAll, sqlscan.DiscardAll:
			return false
		default:
			return true
		}
	})
}

// configsOnly is namesOnly for set_config: each call must name its setting as a plain literal. It looks at the bare bytes: what stands in
// a comment or a string can only make it say no.
func configsOnly(text []byte, harmless func(name string) bool) bool {
	const call = "set_config"
	lower := bytes.ToLower(text)
	for {
		i := bytes.Index(lower, []byte(call))
		if i < 0 {
			return true
		}
		lower = bytes.TrimLeft(lower[i+len(call):], " \t\r\n\"")
		name, ok := bytes.CutPrefix(lower, []byte("("))
		if !ok {
			return false
		}
		name, ok = bytes.CutPrefix(bytes.TrimLeft(name, " \t\r\n"), []byte("'"))
		end := bytes.IndexByte(name, '\'')
		if !ok || end < 0 || !plainSetting(name[:end]) || !harmless(string(name[:end])) {
			return false
		}
		if after := bytes.TrimLeft(name[end+1:], " \t\r\n"); len(after) == 0 || after[0] != ',' {
			return false // the literal goes on
		}
	}
}

func plainSetting(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' {
			return false
		}
	}
	return len(name) > 0
}
