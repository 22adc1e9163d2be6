package config

import (
	"strings"
	"testing"
)

func TestDeepNestingIsRefusedBeforeItIsParsed(t *testing.T) {
	const n = 5000
	for name, text := range map[string]string{
		"section":      "[" + strings.Repeat("a.", n) + "b]\n",
		"spaced":       "[" + strings.Repeat("a . ", n) + "b]\n",
		"quoted":       "[" + strings.Repeat(`"a".`, n) + "b]\n",
		"key":          "[pool]\n" + strings.Repeat("a.", n) + "b = 1\n",
		"list":         "[pool]\npool_size = " + strings.Repeat("[\n", n) + strings.Repeat("]", n),
		"table":        "pool = " + strings.Repeat("{a = ", n) + "1" + strings.Repeat("}", n),
		"behind text":  "[pool]\nconnect_query = \"\"\"a\\\"\"\"\"\npool_size = " + strings.Repeat("[", n),
		"mixed tables": "pool = " + strings.Repeat("{a.a.a.a = ", n) + "1" + strings.Repeat("}", n),
	} {
		_, err := Parse("test.toml", []byte(text), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), "nested more than 32 deep") {
			message := "no error"
			if err != nil {
				message = err.Error()[:min(len(err.Error()), 200)]
			}
			t.Errorf("%s: %s", name, message)
		}
	}
	for name, text := range map[string]string{
		"string":       "[pool]\nconnect_query = \"select '" + strings.Repeat("[{.", n) + "'\"\n",
		"literal":      "[pool]\nconnect_query = '" + strings.Repeat("[{.\\", n) + "'\n",
		"long string":  "[pool]\nconnect_query = \"\"\"select '\"\"" + strings.Repeat("[{.\n", n) + "'\"\"\"\n",
		"long literal": "[pool]\nconnect_query = '''" + strings.Repeat("[{.\n", n) + "'''\n",
		"comment":      "# it's " + strings.Repeat("[{.", n) + "\n[pool]\npool_size = 3\n",
		"many":         strings.Repeat("# a.b.c [ {\n", n) + "[databases.\"a.b\"]\nhost = \"a.b.c.d\"\n",
		"list":         "[listen]\naddresses = [" + strings.Repeat("\"127.0.0.1:1\",\n", 100) + "]\n",
	} {
		if at, found := nestedTooDeep(text); found {
			t.Errorf("%s: nested too deep at %d", name, at)
		}
	}
}
