package wire

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"weir/proxy/pgerror"
)

var refusal = &pgerror.Error{
	Severity: pgerror.SeverityFatal, Code: "53300", Message: "too many clients",
	Detail: "All are in use.", Hint: "Raise it.",
}

// serverMessages has every message that weir sends to clients, and what another implementation must read from it.
var serverMessages = map[string]struct {
	append func(dst []byte) []byte
	want   pgproto3.BackendMessage
}{
	"AuthenticationOk":                {AppendAuthenticationOk, &pgproto3.AuthenticationOk{}},
	"AuthenticationCleartextPassword": {AppendAuthenticationCleartextPassword, &pgproto3.AuthenticationCleartextPassword{}},
	"AuthenticationMD5Password": {
		func(dst []byte) []byte { return AppendAuthenticationMD5Password(dst, [4]byte{1, 2, 3, 4}) },
		&pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}},
	},
	"AuthenticationSASL": {
		func(dst []byte) []byte { return AppendAuthenticationSASL(dst, "SCRAM-SHA-256", "OTHER") },
		&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256", "OTHER"}},
	},
	"AuthenticationSASLContinue": {
		func(dst []byte) []byte { return AppendAuthenticationSASLContinue(dst, []byte("r=x")) },
		&pgproto3.AuthenticationSASLContinue{Data: []byte("r=x")},
	},
	"AuthenticationSASLFinal": {
		func(dst []byte) []byte { return AppendAuthenticationSASLFinal(dst, []byte("v=x")) },
		&pgproto3.AuthenticationSASLFinal{Data: []byte("v=x")},
	},
	"NegotiateProtocolVersion": {
		func(dst []byte) []byte { return AppendNegotiateProtocolVersion(dst, 2, []string{"_pq_.a", "_pq_.b"}) },
		&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 196610, UnrecognizedOptions: []string{"_pq_.a", "_pq_.b"}},
	},
	"ParameterStatus": {
		func(dst []byte) []byte { return AppendParameterStatus(dst, "TimeZone", "UTC") },
		&pgproto3.ParameterStatus{Name: "TimeZone", Value: "UTC"},
	},
	"BackendKeyData": {
		func(dst []byte) []byte { return AppendBackendKeyData(dst, 7, []byte{9, 8, 7, 6}) },
		&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{9, 8, 7, 6}},
	},
	"ReadyForQuery": {
		func(dst []byte) []byte { return AppendReadyForQuery(dst, TxFailed) },
		&pgproto3.ReadyForQuery{TxStatus: 'E'},
	},
	"CommandComplete": {
		func(dst []byte) []byte { return AppendCommandComplete(dst, "SELECT 1") },
		&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")},
	},
	"ParameterDescription": {
		func(dst []byte) []byte { return AppendParameterDescription(dst, []uint32{23, 1 << 31}) },
		&pgproto3.ParameterDescription{ParameterOIDs: []uint32{23, 1 << 31}},
	},
	"ErrorResponse": {
		func(dst []byte) []byte { return AppendErrorResponse(dst, refusal) },
		&pgproto3.ErrorResponse{
			Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "53300", Message: "too many clients",
			Detail: "All are in use.", Hint: "Raise it.",
		},
	},
	"ErrorResponse without detail": {
		func(dst []byte) []byte { return AppendErrorResponse(dst, pgerror.Canceled) },
		&pgproto3.ErrorResponse{
			Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "57014",
			Message: "canceling statement due to user request",
		},
	},
}

func TestClientsReadWhatWeirAppends(t *testing.T) {
	for name, m := range serverMessages {
		t.Run(name, func(t *testing.T) {
			// Something stands before and behind it, so a wrong length shows.
			stream := AppendReadyForQuery(m.append(AppendParameterStatus(nil, "a", "b")), TxIdle)
			f := pgproto3.NewFrontend(bytes.NewReader(stream), nil)
			if _, err := f.Receive(); err != nil {
				t.Fatal(err)
			}
			got, err := f.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, m.want) {
				t.Errorf("read %#v, want %#v", got, m.want)
			}
			if got, err := f.Receive(); err != nil || !reflect.DeepEqual(got, &pgproto3.ReadyForQuery{TxStatus: 'I'}) {
				t.Errorf("behind it came %#v, %v", got, err)
			}
		})
	}
}

func TestServersReadWhatWeirAppends(t *testing.T) {
	stream := AppendQuery(nil, "set a to 'b'")
	stream = AppendClose(AppendDescribe(AppendParse(stream, "s", "select $1", []uint32{23}), 'S', "s"), 'P', "p")
	stream = AppendTerminate(AppendSync(stream))
	b := pgproto3.NewBackend(bytes.NewReader(stream), nil)
	for _, want := range []pgproto3.FrontendMessage{
		&pgproto3.Query{String: "set a to 'b'"}, &pgproto3.Parse{Name: "s", Query: "select $1", ParameterOIDs: []uint32{23}},
		&pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Close{ObjectType: 'P', Name: "p"}, &pgproto3.Sync{}, &pgproto3.Terminate{},
	} {
		got, err := b.Receive()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %#v, %v, want %#v", got, err, want)
		}
	}
}

func TestCancelRequestIsReadBack(t *testing.T) {
	packet := AppendCancelRequest([]byte("x"), 7, bytes.Repeat([]byte{9}, 32))[1:]
	m, err := pgproto3.NewBackend(bytes.NewReader(packet), nil).ReceiveStartupMessage()
	if err != nil {
		t.Fatal(err)
	}
	want := &pgproto3.CancelRequest{ProcessID: 7, SecretKey: bytes.Repeat([]byte{9}, 32)}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("read %#v, want %#v", m, want)
	}
}

func TestNULInAStringEndsItRatherThanItsMessage(t *testing.T) {
	evil := *pgerror.Canceled
	evil.Message = "x\x00Cforged\x00"
	body := AppendErrorResponse(nil, &evil)[HeaderLen:]
	if got := string(PeekErrorField(body, FieldMessage)); got != "x" {
		t.Errorf("message %q, want %q", got, "x")
	}
	if bytes.Contains(body, []byte("forged")) {
		t.Error("a message's text became a field")
	}
	f := AppendQuery(nil, "select 1\x00drop")
	if PeekFrame(f).Total() != len(f) || string(PeekQuery(f[HeaderLen:])) != "select 1" {
		t.Errorf("query is %q", f)
	}
}

func TestAppendersDoNotAllocateWhereThereIsRoom(t *testing.T) {
	for name, m := range serverMessages {
		if name == "AuthenticationSASL" || name == "NegotiateProtocolVersion" || name == "NoticeResponse" {
			continue // of these the test's own arguments are made anew each time
		}
		buf := make([]byte, 0, 1024)
		if n := testing.AllocsPerRun(100, func() { m.append(buf) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	buf, secret := make([]byte, 0, 1024), []byte{1, 2, 3, 4}
	if n := testing.AllocsPerRun(100, func() {
		AppendCancelRequest(AppendTerminate(AppendSync(AppendQuery(buf, "select 1"))), 1, secret)
	}); n != 0 {
		t.Errorf("messages to servers: %v allocations", n)
	}
}
