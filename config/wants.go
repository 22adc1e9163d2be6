package config

import "github.com/BurntSushi/toml"

// WantsJSON reports whether a file asks for a log in JSON, as far as that can be read: what is wrong with the rest of a file is told
// in the form that it asks for.
func WantsJSON(path string) bool {
	var file struct{ Log struct{ Format string } }
	_, err := toml.DecodeFile(path, &file)
	return err == nil && file.Log.Format == FormatJSON.String()
}
