package console

import (
	"strings"

	"weir/proxy/pgerror"
)

// Verb is what a command does.
type Verb uint8

// The verbs.
const (
	VerbNone   Verb = iota // an empty command
	VerbShow               // Arg: a table, upper case
	VerbSet                // Arg = Value
	VerbReload             // no argument
	VerbPause              // Arg: a database, "" for all; and so the next
	VerbResume
	VerbDisable
	VerbEnable
	VerbReconnect
	VerbKill
	VerbKillClient // Arg: a client's number
	VerbWaitClose
	VerbShutdown // Arg: the way, upper case; "" now
	VerbFake     // what drivers say to any server; Tag answers it; Arg: the statement of a DEALLOCATE
	VerbSelect   // what drivers ask any server
)

// Command is one command. The zero value is an empty one.
type Command struct {
	Verb       Verb
	Arg, Value string
	Quoted     bool   // Arg was in double quotes
	Tag        string // VerbFake: of its answer
	Text       string // as it was written
}

// The longest parts of a command that PgBouncer takes, in bytes.
const (
	commandMax = 15
	argMax     = 63
	valueMax   = 255
)

var (
	errBadArguments = pgerror.Console("bad arguments")
	errTooMany      = pgerror.Console("too many commands in one query")
)

func invalid(text string) *pgerror.Error {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return pgerror.Console("invalid command '" + text + "', use SHOW HELP;")
}

// verbs are the commands that take a database or nothing; the others have grammars of their own.
var verbs = map[string]Verb{
	"RELOAD": VerbReload, "PAUSE": VerbPause, "RESUME": VerbResume, "DISABLE": VerbDisable, "ENABLE": VerbEnable, "RECONNECT": VerbReconnect,
	"KILL": VerbKill, "KILL_CLIENT": VerbKillClient, "WAIT_CLOSE": VerbWaitClose, "SHUTDOWN": VerbShutdown,
}

// Parse reads one command, without the semicolon that may end it.
func Parse(text string) (Command, *pgerror.Error) {
	text = strings.TrimSpace(text)
	words, err := scan(text)
	if err != nil {
		return Command{}, invalid(text)
	}
	c := Command{Text: text}
	if len(words) == 0 {
		return c, nil
	}
	verb := strings.ToUpper(words[0].text)
	switch {
	case words[0].kind != tokenWord:
		return c, invalid(text)
	case verb == "SHOW":
		return c.show(words[1:])
	case verb == "SET":
		return c.set(words[1:])
	case verb == "SELECT":
		if fewWords(words) == 2 {
			if shown, err := c.show(words[1:]); err == nil && Known(shown.Arg) {
				return shown, nil
			}
		}
		c.Verb = VerbSelect
		return c, nil
	case transactionTag(words) != "":
		c.Verb, c.Tag = VerbFake, transactionTag(words)
		if c.Tag == tagDeallocate {
			c.Arg = deallocated(words)
		}
		return c, nil
	case len(verb) > commandMax:
		return c, errBadArguments
	}
	if v, ok := verbs[verb]; ok {
		c.Verb = v
		return c.argument(words[1:])
	}
	return c, invalid(text)
}

func fewWords(words []token) int { return len(words) }

// argument reads what may follow a verb: one word.
func (c Command) argument(words []token) (Command, *pgerror.Error) {
	switch {
	case len(words) > 1, len(words) == 1 && words[0].kind != tokenWord && words[0].kind != tokenQuoted,
		len(words) == 1 && (c.Verb == VerbReload):
		return c, invalid(c.Text)
	case len(words) == 1 && len(words[0].text) > argMax:
		return c, errBadArguments
	case len(words) == 1:
		c.Arg, c.Quoted = words[0].text, words[0].kind == tokenQuoted
	}
	if c.Verb == VerbShutdown {
		c.Arg = strings.ToUpper(c.Arg)
	}
	return c, nil
}

// show reads what is to be shown. "TRANSACTION ISOLATION LEVEL" is a setting of several words.
func (c Command) show(words []token) (Command, *pgerror.Error) {
	c.Verb = VerbShow
	joined := ""
	for _, w := range words {
		if w.kind != tokenWord && w.kind != tokenQuoted {
			return c, invalid(c.Text)
		}
		joined += " " + w.text
	}
	c.Arg = strings.ToUpper(strings.TrimPrefix(joined, " "))
	switch {
	case len(words) > 1 && c.Arg != "TRANSACTION ISOLATION LEVEL" && c.Arg != "TIME ZONE" && c.Arg != "SESSION AUTHORIZATION":
		return c, invalid(c.Text)
	case len(c.Arg) > argMax:
		return c, errBadArguments
	}
	return c, nil
}

// set reads "key = value" and "key TO value".
func (c Command) set(words []token) (Command, *pgerror.Error) {
	words = joinKey(words)
	for len(words) > 0 && isOneOf(words[0].text, "SESSION", "LOCAL") && words[0].kind == tokenWord && !follows(words, "=", "TO") {
		words = words[1:]
	}
	if len(words) > 1 && isOneOf(words[0].text, "CHARACTERISTICS", "TRANSACTION", "TIME", "NAMES", "AUTHORIZATION", "ROLE") {
		c.Verb, c.Tag = VerbFake, "SET"
		return c, nil
	}
	if !follows(words, "=", "TO") || len(words) < 3 {
		return c, invalid(c.Text)
	}
	c.Verb, c.Arg = VerbSet, words[0].text
	if driverSetting(c.Arg) {
		c.Verb, c.Tag = VerbFake, "SET"
		return c, nil
	}
	if len(words) != 3 || words[2].kind == tokenSign {
		return c, invalid(c.Text)
	}
	c.Value = words[2].text
	if len(c.Arg) > argMax || len(c.Value) > valueMax {
		return c, errBadArguments
	}
	return c, nil
}

// joinKey makes one word of a key with a section before it, as SHOW CONFIG names weir's own settings: log.level.
func joinKey(words []token) []token {
	if len(words) < 3 || words[0].kind != tokenWord || words[1] != (token{tokenSign, "."}) || words[2].kind != tokenWord {
		return words
	}
	return append([]token{{tokenWord, words[0].text + "." + words[2].text}}, words[3:]...)
}

// follows reports whether the second word is one of these.
func follows(words []token, any ...string) bool {
	return len(words) > 1 && isOneOf(words[1].text, any...)
}

func isOneOf(word string, of ...string) bool {
	for _, o := range of {
		if strings.EqualFold(word, o) {
			return true
		}
	}
	return false
}

// Tags of what ends prepared statements.
const (
	tagDeallocate    = "DEALLOCATE"
	tagDeallocateAll = "DEALLOCATE ALL"
	tagDiscardAll    = "DISCARD ALL"
)

// deallocated is the statement that a DEALLOCATE names; "" is all.
func deallocated(words []token) string {
	rest := words[1:]
	if len(rest) > 1 && rest[0].kind == tokenWord && isOneOf(rest[0].text, "PREPARE") {
		rest = rest[1:]
	}
	switch {
	case len(rest) == 0 || rest[0].kind == tokenWord && isOneOf(rest[0].text, "ALL"):
		return ""
	case rest[0].kind == tokenWord:
		return strings.ToLower(rest[0].text)
	}
	return rest[0].text
}

// transactionTag is the tag of a command that drivers send around others and that means nothing here; or "".
func transactionTag(words []token) string {
	switch first := strings.ToUpper(words[0].text); first {
	case "BEGIN", "COMMIT", "ROLLBACK", "RESET":
		return first
	case "START":
		if follows(words, "TRANSACTION") {
			return "START TRANSACTION"
		}
	case "END":
		return "COMMIT"
	case "ABORT":
		return "ROLLBACK"
	case "UNLISTEN":
		return first
	case "DISCARD":
		if len(words) == 2 && isOneOf(words[1].text, "ALL", "PLANS", "SEQUENCES", "TEMP", "TEMPORARY") {
			return strings.Replace("DISCARD "+strings.ToUpper(words[1].text), "TEMPORARY", "TEMP", 1)
		}
	case "CLOSE":
		if len(words) == 2 && isOneOf(words[1].text, "ALL") {
			return "CLOSE CURSOR ALL"
		}
	case "DEALLOCATE":
		if deallocated(words) == "" {
			return tagDeallocateAll
		}
		return tagDeallocate
	}
	return ""
}
