package conversation

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"weir/proxy/session"
	"weir/proxy/wire"
)

// This file writes and reads messages as lines of a script: a word for the type, then the fields that matter.

// words splits a line. A word in quotes may hold blanks; x*20000 is that many x; words joined by + are one.
func words(line string) ([]string, error) {
	var out []string
	join := false
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var word string
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			word, _ = strconv.Unquote(quoted)
			line = line[len(quoted):]
		} else {
			word, line, _ = strings.Cut(line, " ")
			if word == "+" {
				join = true
				continue
			}
			if what, times, ok := strings.Cut(word, "*"); ok && what != "" {
				if n, err := strconv.Atoi(times); err == nil {
					word = strings.Repeat(what, n)
				}
			}
		}
		if join {
			out[len(out)-1] += word
			join = false
			continue
		}
		out = append(out, word)
	}
	return out, nil
}

var clientTypes = map[byte]string{
	wire.ClientQuery: "Query", wire.ClientParse: "Parse", wire.ClientBind: "Bind", wire.ClientDescribe: "Describe",
	wire.ClientExecute: "Execute", wire.ClientClose: "Close", wire.ClientSync: "Sync", wire.ClientFlush: "Flush",
	wire.ClientFunctionCall: "FunctionCall", wire.ClientCopyData: "CopyData", wire.ClientCopyDone: "CopyDone",
	wire.ClientCopyFail: "CopyFail", wire.ClientTerminate: "Terminate",
}

var serverTypes = map[byte]string{
	wire.ServerParseComplete: "ParseComplete", wire.ServerBindComplete: "BindComplete", wire.ServerCloseComplete: "CloseComplete",
	wire.ServerNoData: "NoData", wire.ServerRowDescription: "RowDescription", wire.ServerParameterDesc: "ParameterDescription",
	wire.ServerDataRow: "DataRow", wire.ServerCommandComplete: "CommandComplete", wire.ServerEmptyQueryResponse: "EmptyQueryResponse",
	wire.ServerPortalSuspended: "PortalSuspended", wire.ServerReadyForQuery: "ReadyForQuery", wire.ServerErrorResponse: "ErrorResponse",
	wire.ServerNoticeResponse: "NoticeResponse", wire.ServerParameterStatus: "ParameterStatus", wire.ServerCopyInResponse: "CopyInResponse",
	wire.ServerCopyOutResponse: "CopyOutResponse", wire.ServerCopyBothResponse: "CopyBothResponse", wire.ServerCopyData: "CopyData",
	wire.ServerCopyDone: "CopyDone", wire.ServerFunctionCallResult: "FunctionCallResponse", wire.ServerNotification: "NotificationResponse",
}

func typeOf(types map[byte]string, name string) (byte, bool) {
	for t, n := range types {
		if n == name {
			return t, true
		}
	}
	return 0, false
}

func frame(t byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{t}, uint32(4+len(body))), body...)
}

// bind is a Bind without parameters.
func bind(portal, statement string) []byte {
	return frame(wire.ClientBind, portal+"\x00"+statement+"\x00\x00\x00\x00\x00\x00\x00")
}

func execute(portal string) []byte { return frame(wire.ClientExecute, portal+"\x00\x00\x00\x00\x00") }

// errorBody is the body of an ErrorResponse.
func errorBody(code, message, severity, routine string) string {
	body := "S" + severity + "\x00V" + severity + "\x00C" + code + "\x00M" + message + "\x00"
	if routine != "" {
		body += "R" + routine + "\x00"
	}
	return body + "\x00"
}

func row(text string) []byte {
	body := binary.BigEndian.AppendUint32([]byte{0, 1}, uint32(len(text)))
	return frame(wire.ServerDataRow, string(append(body, text...)))
}

// clientMessage is a line of what a client sends.
func clientMessage(line string) ([]byte, error) {
	w, err := words(line)
	if err != nil || len(w) == 0 {
		return nil, fmt.Errorf("no message: %q (%w)", line, err)
	}
	kind := w[0]
	w = append(w, "", "", "")
	t, ok := typeOf(clientTypes, kind)
	switch {
	case kind == "bytes":
		return []byte(w[1]), nil
	case !ok:
		return nil, fmt.Errorf("no client sends %q", line)
	}
	switch t {
	case wire.ClientQuery:
		return wire.AppendQuery(nil, w[1]), nil
	case wire.ClientParse:
		return wire.AppendParse(nil, w[1], w[2], nil), nil
	case wire.ClientBind:
		return frame(wire.ClientBind, w[1]+"\x00"+w[2]+"\x00\x00\x00\x00\x00\x00\x00"+w[3]), nil
	case wire.ClientDescribe, wire.ClientClose:
		return frame(t, w[1]+w[2]+"\x00"), nil
	case wire.ClientExecute:
		return execute(w[1]), nil
	case wire.ClientFunctionCall:
		oid, err := strconv.Atoi(w[1])
		return frame(t, string(binary.BigEndian.AppendUint32(nil, uint32(oid)))+"\x00\x00\x00\x00\x00\x00"), err
	case wire.ClientCopyData:
		return frame(t, w[1]), nil
	case wire.ClientCopyFail:
		return frame(t, w[1]+"\x00"), nil
	}
	return frame(t, ""), nil
}

// serverMessage is a line of what a server sends.
func serverMessage(line string) ([]byte, error) {
	w, err := words(line)
	if err != nil || len(w) == 0 {
		return nil, fmt.Errorf("no message: %q (%w)", line, err)
	}
	kind, columns := w[0], w[1:]
	w = append(w, "", "", "", "")
	t, ok := typeOf(serverTypes, kind)
	switch {
	case kind == "bytes":
		return []byte(w[1]), nil
	case kind == "ProbeAnswer": // without its ReadyForQuery
		p := frame(wire.ServerParseComplete, "")
		if w[1] == "notice" {
			p = append(p, frame(wire.ServerNoticeResponse, errorBody("00000", "duration: 0.1 ms", "LOG", ""))...)
		}
		p = append(p, probeAnswer...)
		return append(append(p, frame(wire.ServerNoData, "")...), frame(wire.ServerCloseComplete, "")...), nil
	case !ok:
		return nil, fmt.Errorf("no server sends %q", line)
	}
	switch t {
	case wire.ServerReadyForQuery:
		return frame(t, w[1]), nil
	case wire.ServerCommandComplete:
		return frame(t, w[1]+"\x00"), nil
	case wire.ServerErrorResponse, wire.ServerNoticeResponse:
		severity := w[3]
		if severity == "" {
			severity = "ERROR"
		}
		return frame(t, errorBody(w[1], w[2], severity, w[4])), nil
	case wire.ServerParameterStatus:
		return frame(t, w[1]+"\x00"+w[2]+"\x00"), nil
	case wire.ServerDataRow:
		if len(columns) > 1 {
			return appendRow(nil, columns...), nil
		}
		return row(w[1]), nil
	case wire.ServerRowDescription:
		body := binary.BigEndian.AppendUint16(nil, uint16(len(columns)))
		for _, name := range columns {
			body = append(append(body, name...), make([]byte, 1+18)...)
		}
		return frame(t, string(body)), nil
	case wire.ServerParameterDesc:
		return frame(t, "\x00\x00"), nil
	case wire.ServerCopyInResponse, wire.ServerCopyOutResponse, wire.ServerCopyBothResponse:
		return frame(t, "\x00\x00\x00"), nil
	case wire.ServerFunctionCallResult:
		return frame(t, "\x00\x00\x00\x00"), nil
	case wire.ServerNotification:
		return frame(t, "\x00\x00\x00\x00"+w[1]+"\x00"+w[2]+"\x00"), nil
	case wire.ServerCopyData:
		return frame(t, w[1]), nil
	}
	return frame(t, ""), nil
}

// under is a message of which only the beginning has been printed.
type under struct {
	kind  string
	lacks int
}

// printMessages writes whole messages as lines, with who in front, and parts of one as what they are. A message that comes several times
// in a row is written once. It returns the message under way after p.
func printMessages(out *strings.Builder, who string, types map[byte]string, p []byte, u under) under {
	if n := min(u.lacks, len(p)); n > 0 {
		u.lacks -= n
		fmt.Fprintf(out, "%s gets %d bytes more of %s\n", who, n, u.kind)
		p = p[n:]
	}
	for len(p) >= wire.HeaderLen {
		f := wire.PeekFrame(p)
		if len(p) < f.Total() {
			fmt.Fprintf(out, "%s gets %d bytes of %s\n", who, len(p), types[f.Type])
			return under{types[f.Type], f.Total() - len(p)}
		}
		message, times := p[:f.Total()], 0
		for bytes.HasPrefix(p, message) {
			p = p[len(message):]
			times++
		}
		fmt.Fprintf(out, "%s gets %s%s%s\n", who, often(times), types[f.Type], fields(types, f.Type, message[wire.HeaderLen:]))
	}
	if len(p) > 0 {
		fmt.Fprintf(out, "%s gets a part of a header: %q\n", who, p)
	}
	return u
}

func often(times int) string {
	if times == 1 {
		return ""
	}
	return fmt.Sprintf("%d times ", times)
}

func short(p []byte) string {
	if len(p) > 300 {
		return fmt.Sprintf("%q... (%d bytes)", p[:24], len(p))
	}
	return strconv.Quote(string(p))
}

// fields prints those fields of a message that matter.
func fields(types map[byte]string, t byte, body []byte) string {
	switch types[t] {
	case "Query", "CommandComplete":
		return " " + short(wire.PeekQuery(body))
	case "Parse":
		name, text, _ := wire.PeekParse(body)
		return " " + word(name) + " " + short(text)
	case "Bind":
		portal, name, _ := wire.PeekBind(body)
		return " " + word(portal) + " " + word(name)
	case "Describe", "Close":
		if len(body) == 0 {
			return ""
		}
		return " " + string(body[:1]) + " " + word(body[1:len(body)-1])
	case "Execute":
		return " " + word(wire.PeekQuery(body))
	case "ReadyForQuery":
		return " " + string(body)
	case "NotificationResponse":
		pid, channel, payload, _ := wire.PeekNotification(body)
		return fmt.Sprintf(" %d %s %s", pid, word(channel), word(payload))
	case "ErrorResponse", "NoticeResponse":
		return fmt.Sprintf(" %s %q", wire.PeekErrorField(body, wire.FieldCode), wire.PeekErrorField(body, wire.FieldMessage))
	case "ParameterStatus":
		name, value, _ := wire.PeekParameterStatus(body)
		return fmt.Sprintf(" %s %s", name, word(value))
	case "DataRow":
		return " " + short(body[min(6, len(body)):])
	case "CopyData":
		return " " + short(body)
	}
	return ""
}

// word prints a field, in quotes where it needs them.
func word(p []byte) string {
	switch {
	case len(p) == 0 || strings.ContainsAny(string(p), " \"\\") || strings.ToValidUTF8(string(p), "") != string(p):
		return strconv.Quote(string(p))
	case len(p) > 100:
		return short(p)
	}
	return string(p)
}

// parseSettings reads name=value words.
func parseSettings(words []string) (out []session.Setting) {
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		out = append(out, session.Setting{Name: name, Value: value})
	}
	return out
}
