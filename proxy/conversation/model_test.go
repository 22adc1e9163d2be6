package conversation

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"weir/proxy/wire"
)

// postgres is a session of PostgreSQL as far as programs of the random test can tell, deliberately dumb: it reads the client's messages
// in order and answers each at once. It knows nothing of weir.
type postgres struct {
	login      map[string]string // the settings of the login
	settings   map[string]string // those in force
	locals     map[string]string // what a local setting has covered
	before     map[string]string // as settings were when the transaction began; nil outside
	statements map[string]statement
	portals    map[string]statement
	locks      int
	listens    int
	listened   int         // as listens was when the transaction began
	drawn      string      // what nextval gave last
	refuses    func() bool // whether it refuses a switch that has gone ahead; nil: never

	block  bool // a transaction block is open
	failed bool
	ran    bool // an Execute has been carried out since the last Sync
	skip   bool
	in     []byte
	out    []byte
}

// statement is a text and the time zone in which it was parsed, which its literals keep.
type statement struct{ text, zone string }

// kept is what the text has kept of that.
func (s statement) kept() string {
	if !strings.Contains(s.text, "'") {
		return "any"
	}
	return s.zone
}

func newPostgres(zone string) *postgres {
	v := &postgres{login: map[string]string{"timezone": zone}, statements: map[string]statement{}, portals: map[string]statement{}}
	v.settings = maps.Clone(v.login)
	return v
}

// step reads one message. False: none has come whole.
func (v *postgres) step() bool {
	if len(v.in) < wire.HeaderLen {
		return false
	}
	f := wire.PeekFrame(v.in)
	if len(v.in) < f.Total() {
		return false
	}
	body := v.in[wire.HeaderLen:f.Total()]
	v.in = v.in[f.Total():]
	v.message(f.Type, body)
	return true
}

func (v *postgres) say(t byte, body string) { v.out = append(v.out, frame(t, body)...) }

func (v *postgres) message(t byte, body []byte) {
	if t == wire.ClientSync {
		v.skip, v.ran = false, false
		v.finish(false)
		v.ready()
		return
	}
	if v.skip || t == wire.ClientFlush {
		return
	}
	var code, message string
	switch t {
	case wire.ClientQuery:
		v.query(string(wire.PeekQuery(body)))
		return
	case wire.ClientParse:
		name, text, _ := wire.PeekParse(body)
		code, message = v.parse(string(name), string(text))
	case wire.ClientBind:
		portal, name, _ := wire.PeekBind(body)
		code, message = v.bind(string(portal), string(name))
	case wire.ClientDescribe, wire.ClientClose:
		kind, name, _ := wire.PeekTarget(body)
		if t == wire.ClientClose {
			v.closes(kind, string(name))
		} else {
			code, message = v.describe(kind, string(name))
		}
	case wire.ClientExecute:
		portal, _ := wire.PeekExecute(body)
		s, ok := v.portals[string(portal)]
		switch {
		case !ok:
			code, message = "34000", fmt.Sprintf("portal %q does not exist", portal)
		default:
			code, message = v.run(s, true)
			v.ran = true
		}
	}
	if code != "" {
		v.fails(code, message)
		v.skip = true
	}
}

func (v *postgres) fails(code, message string) {
	v.say(wire.ServerErrorResponse, errorBody(code, message, "ERROR", ""))
	if v.block {
		v.failed = true
		v.rollback()
		return
	}
	v.finish(true)
}

func (v *postgres) ready() {
	status := "I"
	if v.block {
		status = "T"
	}
	if v.failed {
		status = "E"
	}
	v.say(wire.ServerReadyForQuery, status)
}

// enter begins a transaction, if none has begun.
func (v *postgres) enter() {
	if v.before == nil {
		v.before, v.locals, v.listened = maps.Clone(v.settings), nil, v.listens
	}
}

func (v *postgres) rollback() {
	if v.before != nil {
		v.change(v.before)
		v.listens = v.listened
	}
}

// finish ends a transaction that is no block.
func (v *postgres) finish(failed bool) {
	if v.block {
		return
	}
	if v.before != nil {
		if failed {
			v.rollback()
		} else {
			settings := maps.Clone(v.settings)
			maps.Copy(settings, v.locals)
			v.change(settings)
		}
	}
	v.before, v.locals, v.portals = nil, nil, map[string]statement{}
}

// change makes settings those in force and reports the time zone.
func (v *postgres) change(settings map[string]string) {
	was := v.settings["timezone"]
	v.settings = maps.Clone(settings)
	if now := v.settings["timezone"]; now != was {
		v.say(wire.ServerParameterStatus, "TimeZone\x00"+now+"\x00")
	}
}

const aborted = "current transaction is aborted, commands ignored until end of transaction block"

func exits(text string) bool {
	return text == "" || text == "commit" || strings.EqualFold(text, "rollback")
}

func (v *postgres) parse(name, text string) (code, message string) {
	if name == "" {
		delete(v.statements, "")
	}
	v.enter()
	_, known := v.statements[name]
	switch {
	case v.failed && !exits(text): // PostgreSQL looks for syntax errors first; weir may prepare something else before
		return "25P02", aborted
	case strings.HasPrefix(text, "bad"):
		return "42601", "syntax error"
	case known:
		return "42P05", fmt.Sprintf("prepared statement %q already exists", name)
	}
	v.statements[name] = statement{text, v.settings["timezone"]}
	v.say(wire.ServerParseComplete, "")
	return "", ""
}

func missingText(name string) string {
	if name == "" {
		return "unnamed prepared statement does not exist"
	}
	return fmt.Sprintf("prepared statement %q does not exist", name)
}

func (v *postgres) bind(portal, name string) (code, message string) {
	v.enter()
	s, ok := v.statements[name]
	switch {
	case !ok:
		return "26000", missingText(name)
	case v.failed && !exits(s.text):
		return "25P02", aborted
	}
	if _, taken := v.portals[portal]; taken && portal != "" {
		return "42P03", fmt.Sprintf("cursor %q already exists", portal)
	}
	v.portals[portal] = s
	v.say(wire.ServerBindComplete, "")
	return "", ""
}

func (v *postgres) describe(kind byte, name string) (code, message string) {
	v.enter()
	s, ok := v.statements[name]
	missing, text := "26000", missingText(name)
	if kind == 'P' {
		s, ok = v.portals[name]
		missing, text = "34000", fmt.Sprintf("portal %q does not exist", name)
	}
	rows := strings.HasPrefix(s.text, "select")
	switch {
	case !ok:
		return missing, text
	case v.failed && rows:
		return "25P02", aborted
	}
	if kind == 'S' {
		v.say(wire.ServerParameterDesc, "\x00\x00")
	}
	if rows {
		v.say(wire.ServerRowDescription, "\x00\x00")
	} else {
		v.say(wire.ServerNoData, "")
	}
	return "", ""
}

func (v *postgres) closes(kind byte, name string) {
	if kind == 'P' {
		delete(v.portals, name)
	} else {
		delete(v.statements, name)
	}
	v.say(wire.ServerCloseComplete, "")
}

func (v *postgres) query(text string) {
	delete(v.statements, "")
	delete(v.portals, "")
	text = v.forget(text)
	if !v.ran { // else it goes on with what the run has begun, as servers before 17 do
		v.finish(false)
	}
	v.enter()
	var code, message string
	switch {
	case strings.HasPrefix(text, "bad"):
		code, message = "42601", "syntax error"
	default:
		code, message = v.run(statement{text, v.settings["timezone"]}, false)
	}
	if code != "" {
		v.fails(code, message)
	}
	v.finish(code != "")
	v.ran = false
	v.ready()
}

// forget carries out the beginning of a text of weir's that discards what sequences gave, and returns the rest.
func (v *postgres) forget(text string) string {
	rest, ok := strings.CutPrefix(text, "DISCARD SEQUENCES")
	if ok {
		v.drawn = ""
		v.say(wire.ServerCommandComplete, "DISCARD SEQUENCES\x00")
	}
	return strings.TrimPrefix(rest, ";")
}

var setConfig = regexp.MustCompile(`set_config\(E'(\w+)',(?:E'([^']*)'|NULL),false\)`)

// run carries out a statement.
func (v *postgres) run(s statement, extended bool) (code, message string) {
	word, rest, _ := strings.Cut(s.text, " ")
	if v.failed && !exits(s.text) {
		return "25P02", aborted
	}
	tag := strings.ToUpper(word)
	switch {
	case s.text == "":
		v.say(wire.ServerEmptyQueryResponse, "")
		return "", ""
	case strings.HasPrefix(s.text, "SELECT pg_catalog.set_config"): // weir's own
		if extended && v.refuses != nil && v.refuses() {
			return "57014", "canceling statement due to user request"
		}
		settings := maps.Clone(v.settings)
		var values []string
		for _, m := range setConfig.FindAllStringSubmatch(s.text, -1) {
			if settings[m[1]] = m[2]; strings.Contains(m[0], "NULL") {
				settings[m[1]] = v.login[m[1]]
			}
			values = append(values, settings[m[1]])
		}
		v.out = append(v.out, appendRow(nil, values...)...)
		v.change(settings)
		tag = "SELECT 1"
	case strings.HasPrefix(s.text, asksForAll) || strings.HasPrefix(s.text, "SELECT 's', ") || strings.HasPrefix(s.text, "SELECT 'a', ") || strings.HasPrefix(s.text, "SELECT 'l', "): // Ask
		v.out = append(v.out, v.state(s.text)...)
		tag = "SELECT 1"
	case strings.HasPrefix(s.text, "SET SESSION AUTHORIZATION DEFAULT;RESET ALL"): // weir's own, too
		v.reset(s.text)
		tag = "RESET"
	case s.text == "select hides": // a function
		settings := maps.Clone(v.settings)
		settings["timezone"], v.locals = "H", nil
		v.change(settings)
		tag = v.row("hidden")
	case s.text == "select locks": // another
		v.locks++
		tag = v.row("locked")
	case strings.HasPrefix(s.text, "select nextval"):
		v.drawn = rest
		tag = v.row("drawn")
	case s.text == "select lastval":
		tag = v.row("recalls " + v.drawn)
	case s.text == "select fails":
		return "22012", "division by zero"
	case s.text == "select pg_advisory_lock(1)":
		v.locks++
		tag = v.row("locked")
	case word == "select" && !extended:
		tag = v.row(fmt.Sprintf("%s %s %d %d", rest, v.settings["timezone"], v.locks, v.listens))
	case word == "select":
		tag = v.row(fmt.Sprintf("%s %s %s %d %d", rest, s.kept(), v.settings["timezone"], v.locks, v.listens))
	case word == "begin":
		v.block = true
	case word == "commit", strings.EqualFold(word, "rollback"):
		tag = v.end(tag)
	case word == "set":
		settings := maps.Clone(v.settings)
		zone := rest[strings.LastIndex(rest, " ")+1:]
		if strings.HasPrefix(rest, "local") {
			if _, covered := v.locals["timezone"]; !covered {
				v.locals = map[string]string{"timezone": settings["timezone"]}
			}
		} else {
			v.locals = nil
		}
		settings["timezone"] = strings.Trim(zone, "'")
		v.change(settings)
	case word == "listen":
		v.listens = 1
	case s.text == "deallocate all":
		tag = "DEALLOCATE ALL"
		v.deallocateAll()
	case strings.EqualFold(word, "deallocate"):
		name := strings.Trim(rest, `"`)
		if _, ok := v.statements[name]; !ok {
			return "26000", missingText(name)
		}
		delete(v.statements, name)
	case strings.EqualFold(s.text, "discard all"):
		if v.block || extended && v.ran {
			return "25001", "DISCARD ALL cannot run inside a transaction block"
		}
		tag = "DISCARD ALL"
		v.deallocateAll()
		v.locks, v.listens, v.locals, v.drawn = 0, 0, nil, ""
		v.change(v.login)
		v.finish(false)
		v.ran = false
	}
	v.say(wire.ServerCommandComplete, tag+"\x00")
	return "", ""
}

// asksForAll is how a question about all settings begins.
const asksForAll = "SELECT CASE WHEN context "

// state answers Ask.
func (v *postgres) state(question string) (rows []byte) {
	if zone := v.settings["timezone"]; zone != v.login["timezone"] && (strings.HasPrefix(question, asksForAll) || strings.HasPrefix(question, "SELECT 's', ")) {
		rows = appendRow(rows, rowSetting, "TimeZone", zone)
	}
	if v.locks > 0 && strings.Contains(question, "SELECT 'a', ") {
		rows = appendRow(rows, rowLock, "", "")
	}
	if v.listens > 0 && strings.Contains(question, "SELECT 'l', ") {
		rows = appendRow(rows, rowChannel, "", "")
	}
	return rows
}

// reset carries out a part of DISCARD ALL.
func (v *postgres) reset(parts string) {
	v.locals = nil
	v.change(v.login)
	if strings.Contains(parts, "UNLISTEN *") {
		v.listens = 0
	}
	if strings.Contains(parts, "pg_advisory_unlock_all") {
		v.locks = 0
	}
}

func (v *postgres) row(text string) (tag string) {
	v.out = append(v.out, row(text)...)
	return "SELECT 1"
}

func (v *postgres) deallocateAll() {
	for name := range v.statements {
		if name != "" {
			delete(v.statements, name)
		}
	}
}

// end is COMMIT or ROLLBACK.
func (v *postgres) end(tag string) string {
	if v.failed {
		tag = "ROLLBACK"
	}
	undone := tag == "ROLLBACK"
	v.block, v.failed, v.ran = false, false, false
	v.finish(undone)
	return tag
}
