package conversation

import (
	"slices"
	"strconv"
	"strings"

	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// The kinds of rows of an answer to Ask, each with a name and a value.
const (
	rowSetting    = "s"
	rowLock       = "a"
	rowChannel    = "l"
	rowCursor     = "c"
	rowStatement  = "p"
	rowTemporary  = "t"
	rowCustomName = "n"
	rowSequences  = "q"
	rowKeeper     = "k"
	rowBeyond     = "b"
)

// pinsOfRows are what a row of each kind says of the session.
var pinsOfRows = map[string]session.Pins{
	rowLock: session.AdvisoryLock, rowChannel: session.Listen, rowCursor: session.HeldCursor, rowStatement: session.SQLPrepare,
	rowTemporary: session.TempObject,
}

// answer takes a row of the answer.
func (s *Server) answer(row []byte) {
	values, err := wire.PeekRow(row)
	if err != nil || len(values) != 3 {
		return
	}
	q := &s.question
	switch kind, name := string(values[0]), string(values[1]); kind {
	case rowSetting:
		value := unescape(values[2])
		if values[2] == nil || s.asUnset(name, value) {
			break
		}
		q.answered = append(q.answered, session.Setting{Name: name, Value: value})
	case rowCustomName:
		q.names = append(q.names, name)
	case rowKeeper:
		leaves := string(values[2])
		q.keepers = append(q.keepers, keeper{name, leaves})
		if setting, sets := strings.CutPrefix(leaves, settingLeft); sets {
			q.names = append(q.names, setting) // a body that was parsed has no text in which rowCustomName would find it, nor have defaults and views
		}
	case rowBeyond:
		q.beyond = true
	case rowSequences:
		s.shared.recalls = true
	default:
		q.found |= pinsOfRows[kind]
	}
}

// asUnset reports whether a setting with that value is as good as one that was never set: PostgreSQL does not take a custom setting away
// again. Where the client's login gave another value the two differ, and look alike: an empty value has more likely been set than reset, by
// a function; a role is left only where that is certain. What a text has given a value by name is set, if to nothing.
func (s *Server) asUnset(name, value string) bool {
	role := name == "role" && value == "none"
	if !role && (value != "" || !custom(name)) {
		return false
	}
	if s.client == nil {
		return true
	}
	if !role && s.knownSet(name) {
		return false
	}
	_, gave := s.client.Login.Value(name)
	return !gave || role && !s.leftRole()
}

// knownSet reports whether a text has given the setting a value, of the client's transaction or of an earlier one.
func (s *Server) knownSet(name string) bool {
	_, has := s.client.Set.Value(name)
	same := func(set string) bool { return session.SameName(set, name) }
	return has || slices.ContainsFunc(s.question.settings, same) || slices.ContainsFunc(s.question.named, same)
}

// leftRole reports whether it is known that the client has left the role that its login gave.
func (s *Server) leftRole() bool {
	now, _ := valueOf(s.params, authorization)
	login, _ := valueOf(s.login, authorization)
	role, _ := s.client.Set.Value("role")
	return now != login || role == "none" || !s.question.asked.any // a text that names the role has set it
}

// unescape reads what encode(..., 'escape') has written: a backslash is doubled, and what is not ASCII is three octal digits.
func unescape(p []byte) string {
	out := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		if p[i] == '\\' && i+1 < len(p) {
			if p[i+1] != '\\' && i+3 < len(p) {
				n, _ := strconv.ParseUint(string(p[i+1:i+4]), 8, 8)
				out = append(out, byte(n))
				i += 3
				continue
			}
			i++
		}
		out = append(out, p[i])
	}
	return string(out)
}

// custom reports whether a setting is one that only its class names: app.x.
func custom(name string) bool { return strings.IndexByte(name, '.') >= 0 }

// change is what an answer says of the settings.
type change uint8

const (
	settingsSame      change = iota
	settingsUnsure           // they may only be written in another way than the client has written them
	settingsChanged          // the statement has changed them
	settingsUncarried        // they cannot be carried to another backend
)

// hasAnswered goes on with what the backend has answered.
func hasAnswered(s *Server, status wire.TxStatus, refused bool) Outcome {
	q := &s.question
	a := q.asked
	s.shared.Asked.Questions++
	if a.functions {
		s.shared.lookedThrough()
	}
	if a.functions && !refused {
		s.shared.keep(q.keepers)
		s.hasKept()
	}
	switch {
	case status != wire.TxIdle:
		return OutcomeBroken
	case refused:
		s.refusesToSay(a)
	case a.any && s.shared.missed(a.settings, q.names): // it is asked once more, for what these settings are
	default:
		s.believe(a)
	}
	return s.askedOutcome()
}

// refusesToSay is for a backend that has answered with an error: it is asked once more if the question was cancelled. Otherwise it cannot be
// asked, so what was suspected counts.
func (s *Server) refusesToSay(a asked) {
	q := &s.question
	if !q.guard && string(wire.PeekErrorField(s.refused, wire.FieldCode)) == pgerror.CodeQueryCanceled {
		q.guard = true
		return
	}
	s.shared.Asked.Refused++
	q.sure |= s.pins & a.pins
	q.kept = q.kept || s.pins&a.pins&session.SettingChanged != 0
	q.any, q.settings, q.guard = false, nil, false
	s.audit.forget()
}

// believe takes over what the answer says of the session, unless it was a sample: then what it has found was missed before, and has leaked.
func (s *Server) believe(a asked) {
	q := &s.question
	news := q.found &^ s.pins
	applied, wanted, change := s.settingsFrom(a)
	if s.audit.sampled && (news != 0 || change >= settingsChanged) {
		s.shared.Settings.Release(applied)
		s.shared.Settings.Release(wanted)
		s.leaks(news, change)
		return
	}
	names := differing(s.set, applied)
	s.become(applied, wanted, change)
	if a.any {
		s.relogin()
	}
	s.pins = s.pins&^(a.pins&askable) | q.found
	q.sure = q.sure&^a.pins | q.found
	s.worn = s.worn || q.found&session.TempObject != 0 // its temporary schema stays, and temp_buffers cannot be set any more
	if change == settingsUncarried || q.blind {        // what cannot be seen cannot be carried, whatever else has been seen
		s.pins |= session.SettingChanged
		q.sure |= session.SettingChanged
	}
	if change == settingsChanged && len(q.settings) > 0 && within(names, q.settings) {
		change = settingsSame // it is what reading has foreseen
	}
	if q.kept = q.kept && !a.any || change == settingsUncarried; !q.kept {
		q.named = nil
	}
	q.settings, q.any, q.guard, q.answered, q.names = nil, q.any && !a.any, false, nil, nil
	q.executed = q.executed && !a.any
	s.learnFrom(a, news, change, names)
	s.settleScope()
}

// learnFrom has the answer teach what the statements do, as far as reading has not explained it.
func (s *Server) learnFrom(a asked, news session.Pins, change change, names []string) {
	switch {
	case !a.any:
		return
	case a.read&session.Opaque != 0:
		s.audit.forget()
	case a.read&session.SettingChanged != 0 && change != settingsSame:
		s.audited(news, settingsUnsure, nil)
	default:
		s.audited(news, change, names)
	}
}

// within reports whether all names are among others.
func within(names, others []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(others, name) })
}

// differing are the settings that are not the same in two sets.
func differing(a, b *session.Set) (names []string) {
	if a == b {
		return nil
	}
	for _, o := range a.Settings() {
		if value, has := b.Value(o.Name); !has || value != o.Value {
			names = append(names, o.Name)
		}
	}
	for _, o := range b.Settings() {
		if _, has := a.Value(o.Name); !has {
			names = append(names, o.Name)
		}
	}
	return names
}

func (s *Server) askedOutcome() Outcome {
	if s.client == nil {
		return OutcomeClean
	}
	return OutcomeAsked
}

// settingsFrom returns what an answer says that the backend is in, and what its client is to be in, each a reference.
func (s *Server) settingsFrom(a asked) (applied, wanted *session.Set, c change) {
	now, login := s.set, (*session.Set)(nil)
	want := s.set
	if s.client != nil {
		want, login = s.client.Set, s.client.Login
	}
	table := s.shared.Settings
	var is, wants []session.Setting
	switch {
	case a.any:
		is = s.answeredSettings()
		wants = withLogin(is, login)
	case len(a.settings) > 0:
		uses := s.question.uses(a.settings)
		is, wants = s.after(now, nil, uses), s.after(want, login, uses)
	default:
		return table.Retain(now), table.Retain(want), settingsSame
	}
	applied, err := table.Intern(is)
	if err == nil {
		wanted, err = table.Intern(wants)
	}
	switch {
	case err != nil, s.question.beyond:
		table.Release(applied)
		table.Release(wanted)
		return table.Retain(now), table.Retain(want), settingsUncarried
	case applied == now:
		return applied, wanted, settingsSame
	case !now.Shown():
		return applied, wanted, settingsUnsure
	}
	return applied, wanted, settingsChanged
}

// answeredSettings are all that a backend is in. Who the session is stands in no list: what the server reports of it is what holds.
func (s *Server) answeredSettings() []session.Setting {
	settings := s.question.answered
	now, _ := valueOf(s.params, authorization)
	if login, _ := valueOf(s.login, authorization); now != login {
		settings = append(settings, session.Setting{Name: session.Authorization, Value: now})
	}
	return settings
}

// withLogin adds what the client's login gave, where it has been reset.
func withLogin(settings []session.Setting, login *session.Set) []session.Setting {
	wanted := slices.Clone(settings)
	for _, o := range login.Settings() {
		if _, has := valueOf(settings, o.Name); !has {
			wanted = append(wanted, o)
		}
	}
	return wanted
}

const authorization = "session_authorization"

// uses are the answers for settings that were asked for by name.
func (q *question) uses(names []string) []sqlscan.SettingUse {
	uses := make([]sqlscan.SettingUse, 0, len(names))
	for _, name := range names {
		u := sqlscan.SettingUse{Kind: sqlscan.SetDefault, Name: name}
		if value, ok := valueOf(q.answered, name); ok {
			u.Kind, u.Value = sqlscan.SetValue, value
		}
		uses = append(uses, u)
	}
	return uses
}

// become takes over the two references.
func (s *Server) become(applied, wanted *session.Set, c change) {
	table := s.shared.Settings
	if c != settingsUncarried {
		if s.question.asked.any || s.set.Shown() {
			applied.MarkShown()
		}
		s.apply(applied)
		if s.tempPath {
			s.doubt(session.TempObject) // of the transaction that has set that
		}
	}
	table.Release(applied)
	if s.client == nil || c == settingsUncarried {
		table.Release(wanted)
		return
	}
	table.Release(s.client.Set)
	s.client.Set = wanted
}
