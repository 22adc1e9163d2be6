package console

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// portal is a command that is bound, and what it has brought once it was executed.
type portal struct {
	command Command
	formats []int16
	result  *result
	sent    int // rows
}

// handle answers one message. False: the connection ends.
func (s *Session) handle(ctx context.Context, kind byte, body []byte) bool {
	if s.failed && kind != wire.ClientSync && kind != wire.ClientTerminate {
		return true
	}
	switch kind {
	case wire.ClientTerminate:
		return false
	case wire.ClientQuery:
		return s.query(ctx, body)
	case wire.ClientSync:
		s.failed = false
		clear(s.portals)
		s.ready()
		return true
	case wire.ClientFlush:
		return s.out.Flush() == nil
	}
	err, more := s.extended(ctx, kind, body)
	if err != nil {
		s.fail(err)
		s.failed = true
		return more && !err.Fatal()
	}
	return more
}

// query answers a simple query, which may hold several commands.
func (s *Session) query(ctx context.Context, body []byte) bool {
	var m pgproto3.Query
	if err := m.Decode(body); err != nil {
		s.fail(malformed(err))
		return false
	}
	commands := split(m.String)
	if len(commands) == 0 {
		s.encode(&pgproto3.EmptyQueryResponse{})
	}
	for i, text := range commands {
		c, err := Parse(text)
		if i >= commandsMax {
			err = errTooMany
		}
		var r result
		if err == nil {
			r, err = s.run(ctx, c)
		}
		if err != nil {
			s.fail(err)
			break
		}
		if r.ends {
			return false
		}
		if r.columns != nil {
			s.describe(r.columns, nil)
		}
		s.answer(&r, nil, 0, 0)
	}
	s.ready()
	return true
}

func malformed(err error) *pgerror.Error {
	return pgerror.Console(err.Error()).WithSeverity(pgerror.SeverityFatal)
}

// encode writes a message.
func (s *Session) encode(m pgproto3.BackendMessage) {
	b, err := m.Encode(nil)
	if err == nil {
		s.send(b)
	}
}

// extended answers a message of the extended protocol. more is false where the connection ends.
func (s *Session) extended(ctx context.Context, kind byte, body []byte) (err *pgerror.Error, more bool) { //nolint:revive // the error is the client's
	switch kind {
	case wire.ClientParse:
		return s.parse(body), true
	case wire.ClientBind:
		return s.bind(body), true
	case wire.ClientDescribe:
		return s.describeObject(body), true
	case wire.ClientExecute:
		return s.executePortal(ctx, body)
	case wire.ClientClose:
		var m pgproto3.Close
		if err := m.Decode(body); err != nil {
			return malformed(err), false
		}
		if m.ObjectType == 'S' {
			delete(s.statements, m.Name)
		} else {
			delete(s.portals, m.Name)
		}
		s.encode(&pgproto3.CloseComplete{})
		return nil, true
	}
	return pgerror.Console(fmt.Sprintf("unsupported packet type for admin console: %d", kind)).WithSeverity(pgerror.SeverityFatal), false
}

func (s *Session) parse(body []byte) *pgerror.Error {
	var m pgproto3.Parse
	if err := m.Decode(body); err != nil {
		return malformed(err)
	}
	commands := split(m.Query)
	c := Command{}
	switch {
	case len(commands) > 1:
		return pgerror.ConsoleSyntax("cannot insert multiple commands into a prepared statement")
	case len(commands) == 1:
		var err *pgerror.Error
		if c, err = Parse(commands[0]); err != nil {
			return err
		}
		if err := s.answerable(c); err != nil {
			return err
		}
	}
	if _, ok := s.statements[m.Name]; ok && m.Name != "" {
		return pgerror.ConsoleDuplicate("prepared statement", m.Name)
	}
	if len(s.statements) >= objectsMax {
		return pgerror.Console("too many prepared statements")
	}
	s.statements[m.Name] = c
	s.encode(&pgproto3.ParseComplete{})
	return nil
}

// answerable refuses at Parse what cannot be answered, so that no driver waits for columns that do not come.
func (s *Session) answerable(c Command) *pgerror.Error {
	switch c.Verb {
	case VerbShow:
		if c.Arg != "HELP" && c.Arg != "" && !Known(c.Arg) {
			return invalid(c.Text)
		}
	case VerbSelect:
		if _, ok := s.asker().selected(c.Text); !ok {
			return invalid(c.Text)
		}
	default:
	}
	return nil
}

func (s *Session) bind(body []byte) *pgerror.Error {
	var m pgproto3.Bind
	if err := m.Decode(body); err != nil {
		return malformed(err)
	}
	c, ok := s.statements[m.PreparedStatement]
	switch {
	case !ok:
		return pgerror.ConsoleMissing("prepared statement", m.PreparedStatement)
	case len(m.Parameters) > 0:
		return pgerror.Console(fmt.Sprintf("bind message supplies %d parameters, but the command has none", len(m.Parameters)))
	case len(s.portals) >= objectsMax:
		return pgerror.Console("too many portals")
	}
	if n, columns := len(m.ResultFormatCodes), len(s.described(c)); n > 1 && n != columns {
		return pgerror.Console(fmt.Sprintf("bind message has %d result formats but query has %d columns", n, columns))
	}
	s.portals[m.DestinationPortal] = &portal{command: c, formats: append([]int16(nil), m.ResultFormatCodes...)}
	s.encode(&pgproto3.BindComplete{})
	return nil
}

func (s *Session) describeObject(body []byte) *pgerror.Error {
	var m pgproto3.Describe
	if err := m.Decode(body); err != nil {
		return malformed(err)
	}
	var c Command
	var formats []int16
	if m.ObjectType == 'S' {
		var ok bool
		if c, ok = s.statements[m.Name]; !ok {
			return pgerror.ConsoleMissing("prepared statement", m.Name)
		}
		s.encode(&pgproto3.ParameterDescription{})
	} else {
		p := s.portals[m.Name]
		if p == nil {
			return pgerror.ConsoleMissing("portal", m.Name)
		}
		c, formats = p.command, p.formats
	}
	if columns := s.described(c); columns != nil {
		s.describe(columns, formats)
	} else {
		s.encode(&pgproto3.NoData{})
	}
	return nil
}

func (s *Session) executePortal(ctx context.Context, body []byte) (*pgerror.Error, bool) {
	var m pgproto3.Execute
	if err := m.Decode(body); err != nil {
		return malformed(err), false
	}
	p := s.portals[m.Portal]
	if p == nil {
		return pgerror.ConsoleMissing("portal", m.Portal), true
	}
	if p.result == nil {
		r, err := s.run(ctx, p.command)
		if err != nil {
			return err, true
		}
		if r.ends {
			return nil, false
		}
		p.result = &r
	}
	p.sent += s.answer(p.result, p.formats, p.sent, int(m.MaxRows))
	return nil, true
}

func formatOf(formats []int16, column int) int16 {
	switch len(formats) {
	case 0:
		return formatText
	case 1:
		return formats[0]
	}
	return formats[column]
}

func (s *Session) describe(columns []Column, formats []int16) {
	fields := make([]pgproto3.FieldDescription, len(columns))
	for i, c := range columns {
		fields[i] = pgproto3.FieldDescription{
			Name: []byte(c.Name), DataTypeOID: c.Kind.oid(), DataTypeSize: c.Kind.size(), TypeModifier: -1, Format: formatOf(formats, i),
		}
	}
	s.encode(&pgproto3.RowDescription{Fields: fields})
}

// appendRow appends a DataRow. There may be thousands, so it is not made by way of pgproto3, which would make a slice for each value.
func appendRow(b []byte, columns []Column, values []any, formats []int16) []byte {
	b = append(b, wire.ServerDataRow, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(values)))
	for i, v := range values {
		at := len(b)
		b = append(b, 0xFF, 0xFF, 0xFF, 0xFF) // NULL
		if v == nil {
			continue
		}
		b = appendValue(b, columns[i].Kind, v, formatOf(formats, i))
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1))
	return b
}

// answer sends a result from a row on, at most that many rows where most is not 0, and says whether it is complete. It returns how many
// rows it has sent.
func (s *Session) answer(r *result, formats []int16, from, most int) (sent int) {
	if r.notice != nil && from == 0 {
		s.send(wire.AppendNoticeResponse(nil, pgerror.Notice(r.notice.message, r.notice.detail)))
	}
	if r.tag == "" {
		s.encode(&pgproto3.EmptyQueryResponse{})
		return 0
	}
	for _, values := range r.rows[from:] {
		if most > 0 && sent == most {
			s.encode(&pgproto3.PortalSuspended{})
			return sent
		}
		s.row = appendRow(s.row[:0], r.columns, values, formats)
		s.send(s.row)
		sent++
	}
	s.send(wire.AppendCommandComplete(nil, r.tag))
	return sent
}
