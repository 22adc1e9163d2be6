package config

import "github.com/BurntSushi/toml"

// WantsJSON reports whether a file asks for a log in JSON, as far as that can be read: what is wrong with the rest of a file is told
// in the form that it asks for.
func WantsJSON(path string) bool {
	text, err := readBounded(path, fileMax)
	if err != nil {
		return false
	}
	if _, deep := nestedTooDeep(string(text)); deep {
		return false
	}
	var file struct{ Log struct{ Format string } }
	_, err = toml.Decode(string(text), &file)
	return err == nil && file.Log.Format == FormatJSON.String()
}
