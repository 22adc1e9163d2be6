package sqlscan

import (
	"bufio"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// example is a line of one of the tables in testdata.
type example struct {
	at       string // file and line
	encoding string // of the client
	mode     Mode
	sql      string
	want     string
}

// examples reads testdata/<table>.txt: a text, =>, and what is wanted of it. In
// front may stand [off], for standard_conforming_strings, [SJIS] or another
// encoding, or [SJIS off]. {0A} is the byte 0x0a.
func examples(t testing.TB, table string) []example {
	t.Helper()
	file := "testdata/" + table + ".txt"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bytes := regexp.MustCompile(`\{[0-9A-F]{2}\}`)
	byName := func(hex string) string {
		n, _ := strconv.ParseUint(hex[1:3], 16, 8)
		return string([]byte{byte(n)})
	}
	var out []example
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		if text == "" || text[0] == '#' {
			continue
		}
		e := example{at: file + ":" + strconv.Itoa(n), encoding: "UTF8"}
		at := strings.LastIndex(text, " => ")
		if at < 0 {
			t.Fatalf("%s: no verdict", e.at)
		}
		e.sql, e.want = text[:at], text[at+len(" => "):]
		conforming := "on"
		if rest, ok := strings.CutPrefix(e.sql, "["); ok {
			options, rest, _ := strings.Cut(rest, "] ")
			for _, option := range strings.Fields(options) {
				if option == "off" {
					conforming = option
				} else {
					e.encoding = option
				}
			}
			e.sql = rest
		}
		e.mode = ModeOf(e.encoding, conforming)
		e.sql = bytes.ReplaceAllStringFunc(e.sql, byName)
		e.want = bytes.ReplaceAllStringFunc(e.want, byName)
		out = append(out, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
