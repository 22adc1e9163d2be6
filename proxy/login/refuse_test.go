package login

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"weir/internal/pgserver"
)

func TestMain(m *testing.M) {
	stretching = 1
	pgserver.SharedOptions = pgserver.Options{Auth: "scram-sha-256", Password: rightPassword}
	pgserver.Main(m)
}

// first makes a first packet: length, code, and what stands behind it.
func first(code uint32, rest string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	return string(binary.BigEndian.AppendUint32(b, code)) + rest
}

// message makes a message of a logged-in or authenticating client.
func message(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))) + body
}

// initial makes a SASLInitialResponse.
func initial(mechanism, data string) string {
	b := append([]byte(mechanism), 0)
	return message('p', string(binary.BigEndian.AppendUint32(b, uint32(len(data))))+data)
}

const (
	v30        = 3 << 16
	sslCode    = 80877103
	gssencCode = 80877104
	cancelCode = 80877102
)

var startup = first(v30, "user\x00postgres\x00database\x00postgres\x00\x00")

// badLogins are refused by weir as told. PostgreSQL, asked for scram-sha-256, does the same, unless the row says why not.
var badLogins = []struct {
	name    string
	send    []string // each but the first once 'N' was read
	want    string   // the conversation's other half; "" is a silent close
	reason  Reason
	differs string // why PostgreSQL's answer is another
}{
	{"nothing", []string{""}, "", Gone, ""},
	{"half a length", []string{"\x00\x00"}, "", Gone, ""},
	{"length 0", []string{"\x00\x00\x00\x00"}, "", Malformed, ""},
	{"length 7", []string{"\x00\x00\x00\x07\x00\x03\x00"}, "", Malformed, ""},
	{"length of 2 GB", []string{"\x7f\xff\xff\xff\x00\x03\x00\x00"}, "", Malformed, ""},
	{"length of 2 GB and a byte", []string{"\x80\x00\x00\x00\x00\x03\x00\x00"}, "", Malformed, ""},
	{"length of -1", []string{"\xff\xff\xff\xff\x00\x03\x00\x00"}, "", Malformed, ""},
	{"one byte too long", []string{first(v30, strings.Repeat("a", 10_005-8))}, "", Malformed, ""},
	{"HTTP", []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n"}, "", Malformed, ""},
	{"TLS without asking", []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}, "", Malformed, ""},
	{"packet without its end", []string{startup[:20]}, "", Gone, ""},
	{"no terminator", []string{first(v30, "user\x00a\x00")}, "E FATAL 08P01 invalid startup packet layout: expected terminator as last byte", Malformed, ""},
	{"bytes behind the terminator", []string{first(v30, "user\x00a\x00\x00x\x00")}, "E FATAL 08P01 invalid startup packet layout: expected terminator as last byte", Malformed, ""},
	{"name without value", []string{first(v30, "user\x00a\x00database\x00\x00")}, "E FATAL 08P01 invalid startup packet layout: expected terminator as last byte", Malformed, ""},
	{"no user", []string{first(v30, "database\x00a\x00\x00")}, "E FATAL 28000 no PostgreSQL user name specified in startup packet", Malformed, ""},
	{"empty user", []string{first(v30, "user\x00\x00\x00")}, "E FATAL 28000 no PostgreSQL user name specified in startup packet", Malformed, ""},
	{"protocol 2", []string{first(2<<16, "x")}, `"EFATAL:  unsupported frontend protocol 2.0: server supports 3.0 to 3.2\n\x00"`, Unsupported, ""},
	{"protocol 0", []string{first(0, "x")}, "E FATAL 0A000 unsupported frontend protocol 0.0: server supports 3.0 to 3.2", Unsupported, ""},
	{"protocol 0 and nothing else", []string{first(0, "")}, "E FATAL 0A000 unsupported frontend protocol 0.0: server supports 3.0 to 3.2", Unsupported, ""},
	{"protocol 0.1", []string{first(1, "x")}, `"EFATAL:  unsupported frontend protocol 0.1: server supports 3.0 to 3.2\n\x00"`, Unsupported, ""},
	{"protocol 1", []string{first(1<<16, "x")}, `"EFATAL:  unsupported frontend protocol 1.0: server supports 3.0 to 3.2\n\x00"`, Unsupported, ""},
	{"protocol 1234.0", []string{first(1234<<16, "")}, "E FATAL 0A000 unsupported frontend protocol 1234.0: server supports 3.0 to 3.2", Unsupported, ""},
	{"protocol 65535.65535", []string{first(1<<32-1, "x")}, "E FATAL 0A000 unsupported frontend protocol 65535.65535: server supports 3.0 to 3.2", Unsupported, ""},
	{"protocol 3 and nothing else", []string{first(v30, "")}, "E FATAL 08P01 invalid startup packet layout: expected terminator as last byte", Malformed, ""},
	{"protocol 3 and an end", []string{first(v30, "\x00")}, "E FATAL 28000 no PostgreSQL user name specified in startup packet", Malformed, ""},
	{"protocol 3.99, then nothing", []string{first(v30|99, "user\x00a\x00\x00")}, "v 196610 []; R SASL [SCRAM-SHA-256]", Gone, ""},
	{"protocol 3.65535, then nothing", []string{first(v30|65535, "user\x00a\x00\x00")}, "v 196610 []; R SASL [SCRAM-SHA-256]", Gone, ""},
	{"protocol 4", []string{first(4<<16|1, "x")}, "E FATAL 0A000 unsupported frontend protocol 4.1: server supports 3.0 to 3.2", Unsupported, ""},
	{"SSLRequest twice", []string{first(sslCode, ""), first(sslCode, "")}, "N; E FATAL 0A000 unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2", Malformed, ""},
	{"GSSENCRequest twice", []string{first(gssencCode, ""), first(gssencCode, "")}, "N; E FATAL 0A000 unsupported frontend protocol 1234.5680: server supports 3.0 to 3.2", Malformed, ""},
	{"SSL, GSSENC, nothing", []string{first(sslCode, ""), first(gssencCode, ""), ""}, "N; N", Gone, ""},
	{
		"startup behind SSLRequest",
		[]string{first(sslCode, "") + startup},
		"E FATAL 08P01 received unencrypted data after SSL request", Malformed,
		"it answers the request first; we would rather not",
	},
	{
		"startup behind GSSENCRequest",
		[]string{first(gssencCode, "") + startup},
		"E FATAL 08P01 received unencrypted data after GSSAPI encryption request", Malformed,
		"it answers the request first; we would rather not",
	},
	{"SSLRequest with a body", []string{first(sslCode, "x")}, "", Malformed, "it does not look at the body"},
	{"cancel with a short secret", []string{first(cancelCode, "\x00\x00\x00\x01abc")}, "", Malformed, ""},
	{"replication=perhaps", []string{first(v30, "user\x00a\x00replication\x00perhaps\x00\x00")}, `E FATAL 22023 invalid value for parameter "replication": "perhaps"`, BadSetting, ""},
	{"newer protocol, then nothing", []string{first(v30|3, "user\x00a\x00\x00")}, "v 196610 []; R SASL [SCRAM-SHA-256]", Gone, ""},
	{"unknown option, then nothing", []string{first(v30|2, "_pq_.x\x001\x00user\x00a\x00\x00")}, "v 196610 [_pq_.x]; R SASL [SCRAM-SHA-256]", Gone, ""},
	{"startup, then nothing", []string{startup}, "R SASL [SCRAM-SHA-256]", Gone, ""},
	{"Query instead of an answer", []string{startup + message('Q', "select 1\x00")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 expected SASL response, got message type 81", Malformed, ""},
	{"Terminate instead of an answer", []string{startup + message('X', "")}, "R SASL [SCRAM-SHA-256]", Gone, "it tells a client that does not listen"},
	{"length 3", []string{startup + "p\x00\x00\x00\x03"}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message length", Malformed, "it only logs it"},
	{"length of 2 GB", []string{startup + "p\x7f\xff\xff\xff"}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message length", Malformed, "it only logs it"},
	{"length of -1 in an answer", []string{startup + "p\xff\xff\xff\xff"}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message length", Malformed, "it only logs it"},
	{"one byte more than 2 GB", []string{startup + "p\x80\x00\x00\x00"}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message length", Malformed, "it only logs it"},
	{"data of -2 bytes", []string{startup + message('p', "SCRAM-SHA-256\x00\xff\xff\xff\xfen,,")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message format", Malformed, "another text for the same"},
	{"data of 2 GB", []string{startup + message('p', "SCRAM-SHA-256\x00\x80\x00\x00\x00n,,")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message format", Malformed, "another text for the same"},
	{"data of -1 bytes that are there", []string{startup + message('p', "SCRAM-SHA-256\x00\xff\xff\xff\xffn,,n=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message format", Malformed, ""},
	{"startup packet instead of an answer", []string{startup + startup}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 expected SASL response, got message type 0", Malformed, ""},
	{"SSLRequest instead of an answer", []string{startup + first(sslCode, "")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 expected SASL response, got message type 0", Malformed, ""},
	{"cancel instead of an answer", []string{startup + first(cancelCode, "\x00\x00\x00\x01abcd")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 expected SASL response, got message type 0", Malformed, ""},
	{"one byte more than SASL may have", []string{startup + message('p', strings.Repeat("x", 1025))}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message length", Malformed, "it only logs it"},
	{"unknown mechanism", []string{startup + initial("PLAIN", "n,,n=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 client selected an invalid SASL authentication mechanism", Malformed, ""},
	{"mechanism not offered", []string{startup + initial("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 client selected an invalid SASL authentication mechanism", Malformed, ""},
	{"mechanism without end", []string{startup + message('p', "SCRAM-SHA-256")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message format", Malformed, "another text for the same"},
	{"no length of the data", []string{startup + message('p', "SCRAM-SHA-256\x00\x00\x00")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message format", Malformed, "another text for the same"},
	{"data shorter than it says", []string{startup + message('p', "SCRAM-SHA-256\x00\x00\x00\x00\x09n,,")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 invalid message format", Malformed, "another text for the same"},
	{"empty client-first", []string{startup + initial("SCRAM-SHA-256", "")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
	{"NUL in client-first", []string{startup + initial("SCRAM-SHA-256", "n,,n=,r=x\x00y")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
	{"channel binding", []string{startup + initial("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
	{"unknown binding flag", []string{startup + initial("SCRAM-SHA-256", "z,,n=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
	{"no comma behind the flag", []string{startup + initial("SCRAM-SHA-256", "nn=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
	{"other user's authority", []string{startup + initial("SCRAM-SHA-256", "n,a=boss,n=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 0A000 client uses authorization identity, but it is not supported", Malformed, ""},
	{"mandatory extension", []string{startup + initial("SCRAM-SHA-256", "n,,m=x,n=,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 0A000 client uses a mandatory SCRAM extension, but it is not supported", Malformed, "another text for the same"},
	{"no user in client-first", []string{startup + initial("SCRAM-SHA-256", "n,,r=x")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
	{"no nonce", []string{startup + initial("SCRAM-SHA-256", "n,,n=")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
	{"nonce that does not print", []string{startup + initial("SCRAM-SHA-256", "n,,n=,r=x\x7f")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, "another text for the same"},
	{"extension without a name", []string{startup + initial("SCRAM-SHA-256", "n,,n=,r=x,=1")}, "R SASL [SCRAM-SHA-256]; E FATAL 08P01 malformed SCRAM message", Malformed, ""},
}

func TestBadLoginsAreRefused(t *testing.T) {
	l := listen(t, Options{Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"postgres": rightPassword})})
	for _, c := range badLogins {
		t.Run(c.name, func(t *testing.T) {
			if got := converse(t, l.addr, c.send); got != c.want {
				t.Errorf("answered\n%s\nwant\n%s", got, c.want)
			}
			if o := l.outcome(); o.f == nil || o.f.Reason != c.reason {
				t.Errorf("Serve: %v, want %v", o.f, c.reason)
			} else if e := o.f.Err; e != nil && c.reason == Malformed && !strings.Contains(o.f.Error(), e.Detail) {
				t.Errorf("the log does not say %q: %s", e.Detail, o.f)
			}
		})
	}
}

// The operator of a load balancer that sends it must see that in the log.
func TestWhatIsNoStartupPacketIsGuessed(t *testing.T) {
	l := listen(t, Options{})
	for send, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n": "PROXY protocol",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c": "PROXY protocol",
		"GET / HTTP/1.1\r\n\r\n":                 "HTTP",
		"\x16\x03\x01\x00\x05":                   "TLS",
		"\x00\x00\x00\x07xyz":                    "7 bytes",
	} {
		if got := converse(t, l.addr, []string{send}); got != "" {
			t.Errorf("%q is answered %q", send, got)
		}
		if o := l.outcome(); o.f == nil || !strings.Contains(o.f.Error(), want) {
			t.Errorf("%q: %v, want %q in it", send, o.f, want)
		}
	}
}

// asServersOf18 makes of what a server answers that knows protocol 3.0 only what one answers that knows 3.2.
var asServersOf18 = strings.NewReplacer("3.0 to 3.0", "3.0 to 3.2", fmt.Sprint("v ", 3<<16, " "), fmt.Sprint("v ", 3<<16|2, " "))

// TestPostgresRefusesBadLoginsLikewise has PostgreSQL as the oracle for the table above.
func TestPostgresRefusesBadLoginsLikewise(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	addr := pgserver.ForTest(t).Server.Addr()
	for _, c := range badLogins {
		t.Run(c.name, func(t *testing.T) {
			got := asServersOf18.Replace(converse(t, addr, c.send))
			if strings.HasSuffix(got, "G") {
				t.Skip("this PostgreSQL was built with GSSAPI")
			}
			if (got != c.want) != (c.differs != "") {
				t.Errorf("answered\n%s\nweir answers\n%s\ndifference told: %q", got, c.want, c.differs)
			}
		})
	}
}

// converse sends and returns what came back until the peer closed, in the notation of transcript.
func converse(t *testing.T, addr string, send []string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var answers []string
	for i, s := range send {
		if i > 0 {
			var b [1]byte
			if _, err := io.ReadFull(nc, b[:]); err != nil {
				t.Fatal(err)
			}
			if b[0] != 'N' {
				return strings.Join(append(answers, string(b[:])), "; ")
			}
			answers = append(answers, "N")
		}
		// The peer may have closed already: that is then what the reading below finds.
		_, _ = io.WriteString(nc, s)
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	rest, err := io.ReadAll(nc)
	if err, ok := err.(net.Error); ok && err.Timeout() {
		t.Fatalf("not closed; so far %q", rest)
	}
	if len(rest) > 0 {
		answers = append(answers, transcript(rest))
	}
	return strings.Join(answers, "; ")
}

// transcript prints server messages; bytes that are none are quoted.
func transcript(b []byte) string {
	var out []string
	for len(b) > 0 {
		if len(b) < 5 || int(binary.BigEndian.Uint32(b[1:])) > len(b)-1 {
			out = append(out, fmt.Sprintf("%q", b))
			break
		}
		n := 1 + int(binary.BigEndian.Uint32(b[1:]))
		m, err := pgproto3.NewFrontend(bytes.NewReader(b[:n]), nil).Receive()
		b = b[n:]
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			out = append(out, fmt.Sprintf("E %s %s %s", m.SeverityUnlocalized, m.Code, m.Message))
		case *pgproto3.AuthenticationSASL:
			out = append(out, fmt.Sprintf("R SASL %v", m.AuthMechanisms))
		case *pgproto3.AuthenticationOk:
			out = append(out, "R ok")
		case *pgproto3.AuthenticationCleartextPassword:
			out = append(out, "R cleartext")
		case *pgproto3.AuthenticationMD5Password:
			out = append(out, "R md5")
		case *pgproto3.NegotiateProtocolVersion:
			out = append(out, fmt.Sprintf("v %d %v", m.NewestMinorProtocol, m.UnrecognizedOptions))
		default:
			out = append(out, fmt.Sprintf("%T %v", m, err))
		}
	}
	return strings.Join(out, "; ")
}

// TestBadPasswordMessages is the table for the two methods that ask for a password.
func TestBadPasswordMessages(t *testing.T) {
	for method, asked := range map[Method]string{MethodPassword: "R cleartext", MethodMD5: "R md5"} {
		l := listen(t, Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"postgres": rightPassword})})
		for _, c := range []struct {
			name, send, want string
			reason           Reason
		}{
			{"wrong", message('p', "wrong\x00"), `E FATAL 28P01 password authentication failed for user "postgres"`, WrongPassword},
			{"empty", message('p', "\x00"), "E FATAL 28P01 empty password returned by client", WrongPassword},
			{"no string", message('p', ""), "E FATAL 08P01 invalid password packet size", Malformed},
			{"not terminated", message('p', "pencil"), "E FATAL 08P01 invalid password packet size", Malformed},
			{"bytes behind it", message('p', "pencil\x00x\x00"), "E FATAL 08P01 invalid password packet size", Malformed},
			{"the longest", message('p', strings.Repeat("x", 65534)+"\x00"), `E FATAL 28P01 password authentication failed for user "postgres"`, WrongPassword},
			{"too long", "p\x00\x01\x00\x04", "E FATAL 08P01 invalid message length", Malformed},
			{"another message", message('Q', "x\x00"), "E FATAL 08P01 expected password response, got message type 81", Malformed},
		} {
			if got, want := converse(t, l.addr, []string{startup + c.send}), asked+"; "+c.want; got != want {
				t.Errorf("%v, %s: answered\n%s\nwant\n%s", method, c.name, got, want)
			}
			if o := l.outcome(); o.f == nil || o.f.Reason != c.reason {
				t.Errorf("%v, %s: Serve: %v, want %v", method, c.name, o.f, c.reason)
			}
		}
	}
}
