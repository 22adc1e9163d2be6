package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// userlistMax bounds an auth_file, in bytes: 200,000 users with SCRAM verifiers.
const userlistMax = 32 << 20

// userlist reads PgBouncer's userlist.txt: a line for each user, "name" "password", both in double quotes, which are doubled
// inside of them; whatever follows is ignored. A line that begins with ; is a comment. A password is one in clear text, md5 and
// 32 digits, or a SCRAM verifier; an empty one is none, and no login that needs one succeeds.
//
// PgBouncer stops at the first line that it does not understand, and looks for the password on later lines if need be. Here
// both are problems.
type userlist struct {
	file     string
	accounts map[string]Secret
	lines    map[string]int // where a name was first
	problem  func(where, format string, args ...any)
}

// readUserlist reads the text of a file. problem is called for everything that is wrong; where is file:line:column.
func readUserlist(file, text string, problem func(where, format string, args ...any)) map[string]Secret {
	u := userlist{file: file, accounts: map[string]Secret{}, lines: map[string]int{}, problem: problem}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		u.line(number, strings.TrimRight(line, "\r\n"))
	}
	return u.accounts
}

func (u *userlist) line(number int, line string) {
	rest := strings.TrimLeft(line, userlistBlanks)
	if rest == "" || rest[0] == ';' {
		return
	}
	wrong := func(rest, format string, args ...any) {
		column := utf8.RuneCountInString(line[:len(line)-len(rest)]) + 1
		u.problem(fmt.Sprintf("%s:%d:%d", u.file, number, column), format, args...)
	}
	name, behind, ok := userlistQuoted(rest)
	switch {
	case !ok && rest[0] == '#':
		wrong(rest, `a comment begins with ";"`)
		return
	case !ok:
		wrong(rest, `want "user" "password", both in double quotes`)
		return
	}
	second := strings.TrimLeft(behind, userlistBlanks)
	password, _, ok := userlistQuoted(second)
	if !ok {
		wrong(second, "want the password of user %q, in double quotes", name)
		return
	}
	if err := checkUserName(name); err != nil {
		wrong(rest, "the name of a user %v", err)
		return
	}
	var secret Secret
	if password != "" {
		if err := setSecret(&secret, password, fmt.Sprintf("the password of user %q is", name)); err != nil {
			wrong(second, "%v", err)
			return
		}
	}
	if first, twice := u.lines[name]; twice && u.accounts[name].Reveal() != password {
		wrong(rest, "user %q has another password on line %d", name, first)
		return
	}
	u.lines[name] = number
	u.accounts[name] = secret
}

// userlistBlanks are isspace in the C locale.
const userlistBlanks = " \t\v\f\r\n"

// userlistQuoted takes a text in double quotes from the beginning of s.
func userlistQuoted(s string) (text, behind string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '"':
		case strings.HasPrefix(s[i+1:], `"`):
			i++
		default:
			return strings.ReplaceAll(s[1:i], `""`, `"`), s[i+1:], true
		}
	}
	return "", s, false
}
