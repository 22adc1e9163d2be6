package console

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"weir/proxy/pgerror"
)

// result is what a command has brought.
type result struct {
	columns []Column
	rows    [][]any
	tag     string
	notice  *notice
	ends    bool // weir ends: nothing is answered
}

type notice struct{ message, detail string }

// helpText is PgBouncer's, with weir's own.
const helpText = `
	SHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION
	SHOW PEERS|PEER_POOLS
	SHOW SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE
	SHOW DNS_HOSTS|DNS_ZONES
	SHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS
	SHOW PINS|WAITS|STATEMENTS|ERRORS|LISTENERS|HOSTS
	SET key = arg
	RELOAD
	PAUSE [<db>]
	RESUME [<db>]
	DISABLE <db>
	ENABLE <db>
	RECONNECT [<db>]
	KILL [<db>]
	KILL_CLIENT <client_id>
	WAIT_CLOSE [<db>]
	SHUTDOWN
	SHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS`

// described is what columns a command has; nil: none.
func (s *Session) described(c Command) []Column {
	switch c.Verb {
	case VerbShow:
		if t, ok := find(c.Arg); ok {
			return t.Columns
		}
		if driverSetting(c.Arg) {
			return []Column{{strings.ToLower(c.Arg), Text}}
		}
	case VerbSelect:
		items, _ := s.asker().selected(c.Text)
		var columns []Column
		for _, i := range items {
			columns = append(columns, Column{i.name, i.kind})
		}
		return columns
	default:
	}
	return nil
}

// execute carries a command out.
func (s *Session) execute(ctx context.Context, c Command) (result, *pgerror.Error) {
	switch c.Verb {
	case VerbNone:
		return result{}, nil
	case VerbShow:
		return s.show(c)
	case VerbFake:
		return s.fake(c)
	case VerbSelect:
		return s.selectFake(c)
	default:
	}
	if !s.o.Admin {
		return result{}, pgerror.Console("admin access needed")
	}
	return s.operate(ctx, c)
}

// fake answers what drivers say to any server. Of all that it may mean, only the statements that it ends are there.
func (s *Session) fake(c Command) (result, *pgerror.Error) {
	r := result{tag: c.Tag}
	switch c.Tag {
	case "SET":
		r.notice = &notice{message: "SET ignored"}
	case tagDeallocateAll, tagDiscardAll:
		clear(s.statements)
	case tagDeallocate:
		if _, ok := s.statements[c.Arg]; !ok {
			return result{}, pgerror.ConsoleMissing("prepared statement", c.Arg)
		}
		delete(s.statements, c.Arg)
	}
	return r, nil
}

func (s *Session) show(c Command) (result, *pgerror.Error) {
	if c.Arg == "HELP" || c.Arg == "" {
		return result{tag: "SHOW", notice: &notice{"Console usage", helpText}}, nil
	}
	if t, ok := find(c.Arg); ok {
		return result{columns: t.Columns, rows: t.Rows(s.view()), tag: "SHOW"}, nil
	}
	if driverSetting(c.Arg) {
		return result{columns: s.described(c), rows: [][]any{{driverSettings[strings.ToLower(c.Arg)]}}, tag: "SHOW"}, nil
	}
	return result{}, invalid(c.Text)
}

func (s *Session) selectFake(c Command) (result, *pgerror.Error) {
	items, ok := s.asker().selected(c.Text)
	if !ok {
		return result{}, invalid(c.Text)
	}
	values := make([]any, len(items))
	for i, item := range items {
		values[i] = item.value
	}
	return result{columns: s.described(c), rows: [][]any{values}, tag: "SELECT 1"}, nil
}

// forbidden is what PgBouncer says of a command that names the console itself.
var forbidden = map[Verb]string{
	VerbPause: "pause", VerbReconnect: "reconnect", VerbDisable: "disable", VerbEnable: "enable", VerbKill: "kill", VerbWaitClose: "wait in",
	VerbResume: "resume",
}

// operate carries out a command that changes something.
func (s *Session) operate(ctx context.Context, c Command) (result, *pgerror.Error) {
	if verb := forbidden[c.Verb]; verb != "" && c.Arg != "" && s.o.IsConsole(c.Arg) {
		return result{}, pgerror.Console("cannot " + verb + " admin db: " + c.Arg)
	}
	op, tag := s.o.Operator, strings.ToUpper(strings.Fields(c.Text)[0])
	var err error
	switch c.Verb {
	case VerbReload:
		if err = op.Reload(ctx); err != nil {
			return result{}, pgerror.ConsoleReloadFailed(err.Error())
		}
	case VerbPause:
		err = op.Pause(ctx, c.Arg)
	case VerbResume:
		err = op.Resume(c.Arg)
	case VerbDisable, VerbEnable:
		switch {
		case c.Arg == "":
			err = errors.New("a database is required")
		case c.Verb == VerbDisable:
			err = op.Disable(c.Arg)
		default:
			err = op.Enable(c.Arg)
		}
	case VerbReconnect:
		err = op.Reconnect(c.Arg)
	case VerbKill:
		err = op.Kill(c.Arg)
	case VerbKillClient:
		err = s.killClient(c.Arg)
	case VerbWaitClose:
		err = op.WaitClose(ctx, c.Arg)
	case VerbShutdown:
		return s.shutdown(c)
	case VerbSet:
		return s.set(c)
	default:
		return result{}, invalid(c.Text)
	}
	return result{tag: tag}, told(err)
}

// told is an operator's error as the console says it.
func told(err error) *pgerror.Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*pgerror.Error](err); ok {
		return e
	}
	return pgerror.Console(err.Error())
}

func (s *Session) killClient(number string) error {
	id, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return errors.New("invalid client pointer supplied")
	}
	return s.o.Operator.KillClient(uint32(id))
}

func (s *Session) shutdown(c Command) (result, *pgerror.Error) {
	ways := map[string]Shutdown{"": ShutdownNow, "WAIT_FOR_SERVERS": ShutdownWaitForServers, "WAIT_FOR_CLIENTS": ShutdownWaitForClients}
	how, ok := ways[c.Arg]
	if !ok {
		return result{}, invalid(c.Text)
	}
	if err := s.o.Operator.Shutdown(how); err != nil {
		return result{}, told(err)
	}
	return result{tag: "SHUTDOWN", ends: how == ShutdownNow}, nil
}

func (s *Session) set(c Command) (result, *pgerror.Error) {
	setting, ok := settingOf(s.o.Source.Settings(), c.Arg)
	if !ok {
		return result{}, pgerror.ConsoleSetFailed("there is no setting " + c.Arg + ", see SHOW CONFIG")
	}
	r := result{tag: "SET " + c.Arg + "=" + c.Value}
	if !setting.Restart {
		warning, err := s.o.Operator.Set(setting.Section, setting.Name, c.Value)
		if err != nil {
			return result{}, pgerror.ConsoleSetFailed(err.Error())
		}
		switch {
		case warning != "":
			r.notice = &notice{message: warning}
		case setting.Inert:
			r.notice = &notice{message: c.Arg + " is noted, and changes nothing here"}
		}
	}
	if setting.Restart {
		r.notice = &notice{message: c.Arg + " needs a restart: nothing has changed"}
	}
	return r, nil
}
