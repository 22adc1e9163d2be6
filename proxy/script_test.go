package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// TestWireScripts runs testdata/wire: conversations of up to nine clients, first with PostgreSQL itself, then through a weir
// with one single backend, and then the same with TLS on both sides; what the clients see must be the same. Process ids and addresses are masked. The dialect:
//
//	exec                     runs SQL as superuser on the server itself
//	weir                     configures weir: the lines go before what start adds; otherwise it is pool_size = 1
//	c1 connect name=value    logs in with these startup parameters; c1's first other command logs it in without any
//	c1 send                  sends messages, one a line, in one write; "3* Sync" is three of them
//	c1 bytes                 sends bytes: Go strings in quotes, one a line
//	c1 until                 reads until these messages have come, in order, and prints all that came; "count" prints how many
//	                         there were of each type
//	c1 closed                reads until the server closes the connection
//	c1 halfclose             shutdown(SHUT_WR)
//	c1 terminate, c1 vanish  say goodbye and close, or just close
//	c1 cancel                sends a cancel request with c1's key and waits until it was taken
//	c1 reported              prints the values that the server reported last of these parameters
//	server                   waits until this SQL gives true on the server itself
//	pool active=1 ...        waits until weir's only pool is in this state: clients waiting, backends active, idle, pinned
//
// "weir only" behind a command marks what PostgreSQL alone cannot show.
//
// The files are what PostgreSQL 15 says. Other versions word an error or order a report differently: there the direct run says what
// is right, and the one through weir is compared with that.
func TestWireScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		said := map[string]string{}
		t.Run(name+"/direct", func(t *testing.T) { runScript(t, path, false, false, said) })
		t.Run(name+"/weir", func(t *testing.T) { runScript(t, path, true, false, said) })
		t.Run(name+"/tls", func(t *testing.T) { runScript(t, path, true, true, said) })
	}
}

// script is one run of a file.
type script struct {
	t       *testing.T // of the whole file
	d       *pgserver.Database
	through bool // weir
	secret  bool // with TLS between client and weir, and between weir and server
	weir    *weirUnderTest
	clients map[string]*wireClient
	broken  bool // a step has failed
}

// scriptsVersion is the major version whose answers stand in the files.
const scriptsVersion = "15"

// runScript runs a file. said is what PostgreSQL itself has answered at each place of it, filled by the direct run.
func runScript(t *testing.T, path string, through, secret bool, said map[string]string) {
	s := &script{t: t, d: database(t), through: through, secret: secret, clients: map[string]*wireClient{}}
	asInFile := strings.HasPrefix(s.d.Server.Version(), "postgres (PostgreSQL) "+scriptsVersion+".")
	datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
		if !s.through && td.HasArg("weir") {
			return td.Expected
		}
		if s.broken {
			return td.Expected // a client that hung would hang at each step
		}
		out, err := s.run(td)
		if err != nil {
			s.broken = true
			out += "error: " + err.Error() + "\n"
		}
		if !asInFile && err == nil && asRight(td, out, s.through, said) {
			return td.Expected
		}
		if rewriting := flag.Lookup("rewrite").Value.String() == "true"; rewriting && s.through && !td.HasArg("weir") && out != td.Expected {
			t.Errorf("%s: through weir it is not as PostgreSQL alone has it, which stays in the file:\n%s", td.Pos, out)
			return td.Expected
		}
		return out
	})
}

// asRight reports whether an answer is that of a server of another version than the files'.
func asRight(td *datadriven.TestData, out string, through bool, said map[string]string) bool {
	if td.HasArg("weir") { // PostgreSQL has not said it: which parameters it reports differs
		return withoutReports(out) == withoutReports(td.Expected)
	}
	if !through {
		said[td.Pos] = out
	}
	right, ok := said[td.Pos]
	return ok && inOrder(out) == inOrder(right)
}

// inOrder sorts reports that come one after the other: their order is the server's own affair.
func inOrder(out string) string {
	lines := slices.Collect(strings.Lines(out))
	isReport := func(line string) bool { return strings.Contains(line, `"Type":"ParameterStatus"`) }
	for i := 0; i < len(lines); i++ {
		end := i
		for end < len(lines) && isReport(lines[end]) {
			end++
		}
		slices.Sort(lines[i:end])
		i = max(i, end-1)
	}
	return strings.Join(lines, "")
}

func withoutReports(out string) string {
	var kept strings.Builder
	for line := range strings.Lines(out) {
		if !strings.Contains(line, `"Type":"ParameterStatus"`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func (s *script) run(td *datadriven.TestData) (string, error) {
	switch td.Cmd {
	case "exec":
		return "", s.d.Server.Exec(context.Background(), s.d.Name, td.Input)
	case "weir":
		if s.through {
			s.start(td.Input)
		}
		return "", nil
	case "server":
		return "", s.server(td.Input)
	case "pool":
		return "", s.pool(td.CmdArgs)
	}
	if len(td.CmdArgs) == 0 {
		return "", fmt.Errorf("unknown command %s", td.Cmd)
	}
	what, args := td.CmdArgs[0].Key, td.CmdArgs[1:]
	c := s.clients[td.Cmd]
	if c == nil {
		var params []string
		if what == "connect" {
			for _, a := range args {
				if a.Key != "weir" && a.Key != "only" {
					params = append(params, a.Key, strings.Join(a.Vals, ","))
				}
			}
		}
		var err error
		c, err = tryDialOver(s.t, s.connection(), s.d.Server.Superuser(), s.d.Name, params...)
		if refused := (*serverError)(nil); errors.As(err, &refused) {
			return refused.Error() + "\n", nil
		}
		if err != nil {
			return "", err
		}
		s.clients[td.Cmd] = c
	}
	return s.command(c, td, what, args)
}

func (s *script) addr() string {
	if !s.through {
		return s.d.Server.Addr()
	}
	if s.weir == nil {
		s.start("[pool]\npool_size = 1")
	}
	return s.weir.Addr
}

func (s *script) start(toml string) {
	if s.secret {
		toml += "\n" + bothTLS(s.t)
	}
	s.weir = start(s.t, s.d, toml)
}

// connection is a new one to whom the clients talk.
func (s *script) connection() halfConn {
	nc := dialRaw(s.t, s.addr())
	if s.secret {
		return startTLS(s.t, nc)
	}
	return nc
}

func (s *script) command(c *wireClient, td *datadriven.TestData, what string, args []datadriven.CmdArg) (string, error) {
	switch what {
	case "connect":
		return "", nil
	case "send":
		p, err := parseMessages(td.Input)
		if err != nil {
			return "", err
		}
		return "", c.TrySendBytes(p)
	case "bytes":
		p, err := parseBytes(td.Input)
		if err != nil {
			return "", err
		}
		return "", c.TrySendBytes(p)
	case "until":
		return until(c, strings.Fields(td.Input), td.HasArg("count"))
	case "closed":
		return closed(c)
	case "halfclose":
		return "", c.conn.CloseWrite()
	case "terminate":
		err := c.TrySendBytes([]byte{'X', 0, 0, 0, 4})
		c.Vanish()
		delete(s.clients, td.Cmd)
		if err == nil && !s.through { // what the session held is free when its backend is gone
			err = s.server(fmt.Sprintf("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d)", c.pid))
		}
		return "", err
	case "vanish":
		c.Vanish()
		delete(s.clients, td.Cmd)
		return "", nil
	case "cancel":
		return "", tryCancelOver(s.connection(), c.pid, c.secret)
	case "reported":
		var out strings.Builder
		for _, a := range args {
			fmt.Fprintf(&out, "%s=%s\n", a.Key, c.params[a.Key])
		}
		return out.String(), nil
	}
	return "", fmt.Errorf("unknown command %s", what)
}

// server waits until a condition holds on the server.
func (s *script) server(sql string) error {
	conn := direct(s.t, s.d)
	last := settled(func() string {
		got, err := tryAsk(conn, sql)
		if err != nil || got != "t" {
			return fmt.Sprintf("%s gives %s %v", sql, got, err)
		}
		return ""
	})
	if last != "" {
		return errors.New(last)
	}
	return conn.Close(context.Background())
}

// pool waits until weir's pool is in a state.
func (s *script) pool(args []datadriven.CmdArg) error {
	last := settled(func() string {
		p := s.weir.Proxy.Snapshot().Pools[0]
		have := map[string]int{
			"waiting": p.Clients[status.ClientWaiting], "active": p.Backends[status.BackendActive],
			"idle": p.Backends[status.BackendIdle], "pinned": p.Pinned, "intx": p.InTx,
		}
		for _, a := range args {
			if n, ok := have[a.Key]; ok && strconv.Itoa(n) != a.Vals[0] {
				return fmt.Sprintf("%s=%d, %+v", a.Key, n, p)
			}
		}
		return ""
	})
	if last != "" {
		return errors.New(last)
	}
	return nil
}

// frontendMessages are the messages that a script can send, by name.
var frontendMessages = map[string]func() pgproto3.FrontendMessage{
	"Bind":      func() pgproto3.FrontendMessage { return new(pgproto3.Bind) },
	"Close":     func() pgproto3.FrontendMessage { return new(pgproto3.Close) },
	"CopyData":  func() pgproto3.FrontendMessage { return new(pgproto3.CopyData) },
	"CopyDone":  func() pgproto3.FrontendMessage { return new(pgproto3.CopyDone) },
	"CopyFail":  func() pgproto3.FrontendMessage { return new(pgproto3.CopyFail) },
	"Describe":  func() pgproto3.FrontendMessage { return new(pgproto3.Describe) },
	"Execute":   func() pgproto3.FrontendMessage { return new(pgproto3.Execute) },
	"Flush":     func() pgproto3.FrontendMessage { return new(pgproto3.Flush) },
	"Parse":     func() pgproto3.FrontendMessage { return new(pgproto3.Parse) },
	"Query":     func() pgproto3.FrontendMessage { return new(pgproto3.Query) },
	"Sync":      func() pgproto3.FrontendMessage { return new(pgproto3.Sync) },
	"Terminate": func() pgproto3.FrontendMessage { return new(pgproto3.Terminate) },
}

// parseMessages turns a script's lines into bytes.
func parseMessages(input string) ([]byte, error) {
	var out []byte
	for line := range strings.Lines(input) {
		p, err := parseMessage(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		out = append(out, p...)
	}
	return out, nil
}

func parseMessage(line string) ([]byte, error) {
	times := 1
	if count, rest, ok := strings.Cut(line, "* "); ok {
		if n, err := strconv.Atoi(count); err == nil {
			times, line = n, rest
		}
	}
	name, body, _ := strings.Cut(line, " ")
	if body == "" {
		body = "{}"
	}
	var m pgproto3.FrontendMessage
	if name == "FunctionCall" {
		call, err := parseFunctionCall(body)
		if err != nil {
			return nil, err
		}
		m = call
	} else {
		make := frontendMessages[name]
		if make == nil {
			return nil, errors.New("no such message")
		}
		m = make()
		if err := json.Unmarshal([]byte(body), m); err != nil {
			return nil, err
		}
	}
	p, err := m.Encode(nil)
	return bytes.Repeat(p, times), err
}

// parseFunctionCall reads what pgproto3 cannot: arguments as text.
func parseFunctionCall(body string) (*pgproto3.FunctionCall, error) {
	var call struct {
		Function  uint32
		Arguments []string
	}
	if err := json.Unmarshal([]byte(body), &call); err != nil {
		return nil, err
	}
	m := &pgproto3.FunctionCall{Function: call.Function}
	for _, a := range call.Arguments {
		m.Arguments = append(m.Arguments, []byte(a))
	}
	return m, nil
}

func parseBytes(input string) ([]byte, error) {
	var out []byte
	for line := range strings.Lines(input) {
		s, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		out = append(out, s...)
	}
	return out, nil
}

// until reads until the messages of these types have come in this order.
func until(c *wireClient, types []string, count bool) (string, error) {
	var out strings.Builder
	counts := map[string]int{}
	times := 0
	for len(types) > 0 {
		want := types[0]
		if n, rest, ok := strings.Cut(want, "*"); ok {
			want = rest
			if times == 0 {
				times, _ = strconv.Atoi(n)
			}
		}
		m, err := c.TryReceive()
		if err != nil {
			return out.String(), err
		}
		name := typeName(m)
		counts[name]++
		if !count {
			out.WriteString(printMessage(m) + "\n")
		}
		if name != want {
			continue
		}
		if times--; times <= 0 {
			types, times = types[1:], 0
		}
	}
	if count {
		p, _ := json.Marshal(counts) // the keys are sorted
		out.WriteString(string(p) + "\n")
	}
	return out.String(), nil
}

// closed reads to the end of the connection.
func closed(c *wireClient) (string, error) {
	var out strings.Builder
	for {
		m, err := c.TryReceive()
		switch {
		case err == nil:
			out.WriteString(printMessage(m) + "\n")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return out.String() + "closed\n", nil
		default:
			return out.String(), err
		}
	}
}

func typeName(m any) string { return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.") }

// printMessage prints a message as pgproto3 marshals it, without what differs from run to run and what no client looks at.
func printMessage(m pgproto3.BackendMessage) string {
	type printed struct {
		Type                          string
		Severity, Code, Message       string   `json:",omitempty"`
		Detail, Hint                  string   `json:",omitempty"`
		Fields                        []string `json:",omitempty"`
		PID, Channel, Payload, Format string   `json:",omitempty"`
	}
	p := printed{Type: typeName(m)}
	switch m := m.(type) {
	case *pgproto3.ErrorResponse:
		p.Severity, p.Code, p.Message, p.Detail, p.Hint = m.Severity, m.Code, m.Message, m.Detail, m.Hint
	case *pgproto3.NoticeResponse:
		p.Severity, p.Code, p.Message, p.Detail, p.Hint = m.Severity, m.Code, m.Message, m.Detail, m.Hint
	case *pgproto3.RowDescription:
		for _, f := range m.Fields {
			p.Fields = append(p.Fields, string(f.Name))
		}
	case *pgproto3.NotificationResponse:
		p.PID, p.Channel, p.Payload = "*", m.Channel, m.Payload
	case *pgproto3.CopyData:
		return fmt.Sprintf(`{"Type":"CopyData","Data":%q}`, m.Data)
	default:
		text, err := json.Marshal(m)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out.String())
}
