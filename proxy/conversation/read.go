package conversation

import (
	"bytes"

	"weir/proxy/session"
	"weir/proxy/sqlscan"
)

// benign is an effect of conversation's own: the text changes settings, and only such that cannot change what texts mean.
const benign sqlscan.Effects = 1 << 31

// changers are the effects by which a text changes settings that it names.
const changers = sqlscan.Set | sqlscan.SetLocal | sqlscan.Reset | sqlscan.SetConfig | sqlscan.SetConfigLocal

// readText is sqlscan.Scan, with benign added.
func readText(text []byte, mode sqlscan.Mode) sqlscan.Effects {
	e := sqlscan.Scan(text, mode)
	if e&alters == 0 || e&alters&^changers != 0 {
		return e
	}
	if e&(sqlscan.SetConfig|sqlscan.SetConfigLocal) != 0 && !configsBenign(text) {
		return e
	}
	if e&(sqlscan.Set|sqlscan.SetLocal|sqlscan.Reset) != 0 && !setsBenign(text, mode) {
		return e
	}
	return e | benign
}

// setsBenign reports whether the text's SETs and RESETs name nothing that changes what texts mean.
func setsBenign(text []byte, mode sqlscan.Mode) bool {
	return sqlscan.Settings(text, mode, func(u sqlscan.SettingUse) bool {
		switch u.Kind {
		case sqlscan.SetValue, sqlscan.SetDefault:
			return !session.Meaningful(u.Name)
		case sqlscan.ResetAll, sqlscan.DiscardAll:
			return false
		default:
			return true
		}
	})
}

// configsBenign reports whether each call of set_config names, as a plain literal, a setting that does not change what texts mean. It
// looks at the bare bytes: what stands in a comment or a string can only make it say no.
func configsBenign(text []byte) bool {
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
		if !ok || end < 0 || !plainSetting(name[:end]) || session.Meaningful(string(name[:end])) {
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
