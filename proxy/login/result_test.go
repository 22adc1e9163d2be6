package login

import (
	"context"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

func TestStartupParametersBecomeSettings(t *testing.T) {
	for _, c := range []struct {
		name, params string
		want         []wire.Param
		refused      string
	}{
		{"none", "", nil, ""},
		{
			"in order", "application_name\x00a\x00client_encoding\x00UTF8\x00",
			[]wire.Param{{Name: "application_name", Value: "a"}, {Name: "client_encoding", Value: "UTF8"}},
			"",
		},
		{
			"options come first", "search_path\x00a\x00options\x00-c geqo=off --statement-timeout=5s\x00",
			[]wire.Param{{Name: "geqo", Value: "off"}, {Name: "statement_timeout", Value: "5s"}, {Name: "search_path", Value: "a"}},
			"",
		},
		{"a parameter beats options", "TimeZone\x00UTC\x00options\x00-c timezone=CET\x00", []wire.Param{{Name: "TimeZone", Value: "UTC"}}, ""},
		{
			"the last one wins, in its place", "DateStyle\x00ISO\x00geqo\x00on\x00datestyle\x00German\x00",
			[]wire.Param{{Name: "geqo", Value: "on"}, {Name: "datestyle", Value: "German"}},
			"",
		},
		{"letters beyond ASCII keep their case", "x.\u00c4\x001\x00x.\u00e4\x002\x00", []wire.Param{{Name: "x.\u00c4", Value: "1"}, {Name: "x.\u00e4", Value: "2"}}, ""},
		{
			"application_name in Latin-1", "application_name\x00M\xfcller\t\x00x.y\x00\xfc\x00",
			[]wire.Param{{Name: "application_name", Value: "M?ller?"}, {Name: "x.y", Value: "\xfc"}},
			"",
		},
		{"application_name in UTF-8", "application_name\x00M\u00fcller\x00", []wire.Param{{Name: "application_name", Value: "M\u00fcller"}}, ""},
		{"no replication", "replication\x00off\x00geqo\x00on\x00", []wire.Param{{Name: "geqo", Value: "on"}}, ""},
		{"custom setting", "app.tenant$1\x004\x00", []wire.Param{{Name: "app.tenant$1", Value: "4"}}, ""},
		{"injection in a name", "geqo = on; drop table x; --\x00on\x00", nil, `E FATAL 42704 unrecognized configuration parameter "geqo = on; drop table x; --"`},
		{"quote in a name", "a\"b\x00on\x00", nil, `E FATAL 42704 unrecognized configuration parameter "a"b"`},
		{"digit first", "1a\x00on\x00", nil, `E FATAL 42704 unrecognized configuration parameter "1a"`},
		{"empty part", "a..b\x00on\x00", nil, `E FATAL 42704 unrecognized configuration parameter "a..b"`},
		{"dot last", "a.\x00on\x00", nil, `E FATAL 42704 unrecognized configuration parameter "a."`},
		{"no name in options", "options\x00-c=\x00", nil, `E FATAL 42704 unrecognized configuration parameter ""`},
		{"no name in options, with a blank", "options\x00-c =x\x00", nil, `E FATAL 42704 unrecognized configuration parameter ""`},
		{"no name behind hyphens", "options\x00--=x\x00", nil, `E FATAL 42704 unrecognized configuration parameter ""`},
		{"-c at the end", "options\x00-c\x00", nil, `E FATAL 42601 invalid startup parameter "options": -c requires an argument`},
		{"options that are none", "options\x00-F\x00", nil, `E FATAL 42601 invalid startup parameter "options": "-F" is not a setting`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := listen(t, Options{Method: MethodTrust})
			got := converse(t, l.addr, []string{first(v30, "user\x00app\x00"+c.params+"\x00")})
			o := l.outcome()
			if c.refused != "" {
				if got != c.refused || o.f == nil || o.f.Reason != BadSetting {
					t.Errorf("answered %q, %v; want %q", got, o.f, c.refused)
				}
				return
			}
			if o.f != nil {
				t.Fatal(o.f)
			}
			if len(o.res.Settings)+len(c.want) > 0 && !reflect.DeepEqual(o.res.Settings, c.want) {
				t.Errorf("settings %q, want %q", o.res.Settings, c.want)
			}
			if o.res.User != "app" || o.res.Database != "app" {
				t.Errorf("user %q to database %q", o.res.User, o.res.Database)
			}
		})
	}
}

func TestReplicationTakesPostgresBooleans(t *testing.T) {
	for s, want := range map[string][2]bool{
		"on": {true, true}, "TRUE": {true, true}, "t": {true, true}, "y": {true, true}, "1": {true, true},
		"off": {false, true}, "of": {false, true}, "False": {false, true}, "n": {false, true}, "0": {false, true},
		"o": {}, "": {}, "2": {}, "onn": {}, "database": {},
	} {
		if v, ok := parseBool(s); v != want[0] || ok != want[1] {
			t.Errorf("parseBool(%q) = %v, %v", s, v, ok)
		}
	}
}

func TestCancelRequestIsHandedOn(t *testing.T) {
	l := listen(t, Options{Verifiers: usualVerifiers(nil), Lookup: users(nil)})
	request := string(wire.AppendCancelRequest(nil, 7, []byte("abcd")))
	for name, send := range map[string][]string{"at once": {request}, "behind SSLRequest": {first(sslCode, ""), request}} {
		if got := strings.TrimPrefix(converse(t, l.addr, send), "N"); got != "" {
			t.Errorf("%s: answered %q", name, got)
		}
		o := l.outcome()
		if want := (Result{Cancel: &Cancel{PID: 7, Secret: []byte("abcd")}, Conn: o.res.Conn}); o.f != nil || !reflect.DeepEqual(o.res, want) {
			t.Errorf("%s: %+v, %v", name, o.res, o.f)
		}
	}
}

// TestNoByteBehindTheLoginIsRead is what the hand-over of the descriptor rests on.
func TestNoByteBehindTheLoginIsRead(t *testing.T) {
	const extra = "Q\x00\x00\x00\x06x\x00"
	for _, method := range []Method{MethodTrust, MethodPassword, MethodMD5, MethodSCRAM} {
		t.Run(method.String(), func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			theirs := dial(t, &listener{addr: ln.Addr().String()})
			ours, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			done := make(chan error)
			go func() {
				stored := pencilSCRAM
				if method == MethodMD5 {
					stored = rightPassword
				}
				res, err := Serve(context.Background(), ours, time.Now(), &Options{
					Method: method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": stored}),
				})
				_, _ = ours.Write(res.Owed)
				done <- err
			}()
			begin := first(v30, "user\x00app\x00\x00")
			switch method {
			case MethodTrust:
				send(t, theirs, begin+extra)
			case MethodPassword:
				send(t, theirs, begin+message('p', "pencil\x00")+extra)
			case MethodMD5:
				send(t, theirs, begin)
				_, body := readMessage(t, theirs)
				send(t, theirs, message('p', md5Response(md5Hash("pencil", "app"), [4]byte(body[4:]))+"\x00")+extra)
			case MethodSCRAM:
				scramPeer{behindFinal: extra}.run(t, theirs, "app", "pencil")
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if err := theirs.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(ours)
			if err != nil || string(rest) != extra {
				t.Errorf("left on the socket: %q, %v; want %q", rest, err, extra)
			}
		})
	}
}

// TestStrangersLearnNothingOfDatabasesAndLimits asks for an unknown database with a wrong password, and with the right one.
func TestStrangersLearnNothingOfDatabasesAndLimits(t *testing.T) {
	asked := make(chan string, 8)
	l := listen(t, Options{
		Method: MethodPassword, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": rightPassword}),
		KnownDatabase: func(db string) bool { asked <- "database " + db; return db == "shop" },
		Admit: func(user, db string) *pgerror.Error {
			asked <- "admit " + user + " to " + db
			return pgerror.TooManyClients(3)
		},
	})
	login := func(db, password string) string {
		return converse(t, l.addr, []string{first(v30, "user\x00app\x00database\x00"+db+"\x00\x00") + message('p', password+"\x00")})
	}
	if got := login("secret", "wrong"); got != `R cleartext; E FATAL 28P01 password authentication failed for user "app"` {
		t.Errorf("a stranger was told %q", got)
	}
	if o := l.outcome(); o.f.Reason != WrongPassword || len(asked) != 0 {
		t.Errorf("%v; asked %d questions", o.f, len(asked))
	}
	if got := login("secret", "pencil"); got != `R cleartext; E FATAL 3D000 database "secret" does not exist` {
		t.Errorf("a user was told %q", got)
	}
	if o := l.outcome(); o.f.Reason != UnknownDatabase || <-asked != "database secret" || len(asked) != 0 {
		t.Errorf("%v; asked %d questions more", o.f, len(asked))
	}
	if got := login("shop", "pencil"); got != `R cleartext; E FATAL 53300 too many clients` {
		t.Errorf("a user too many was told %q", got)
	}
	o := l.outcome()
	if o.f.Reason != Full || o.f.Admitted || <-asked != "database shop" || <-asked != "admit app to shop" {
		t.Errorf("%v", o.f)
	}
	if got := o.f.Error(); got != "login: too many clients (53300): All 3 client connections that weir allows are in use." {
		t.Errorf("the log does not say which limit was met: %q", got)
	}
}

// TestAdmittedClientThatComesTooLateIsGivenBack ends the login between Admit's yes and its own end.
func TestAdmittedClientThatComesTooLateIsGivenBack(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		_, _ = io.WriteString(theirs, startup)
		_, _ = io.Copy(io.Discard, theirs)
	}()
	ctx, stop := context.WithCancel(context.Background())
	_, err := Serve(ctx, ours, time.Now(), &Options{Method: MethodTrust, Admit: func(string, string) *pgerror.Error {
		stop()
		return nil
	}})
	if f := failureOf(t, err); f == nil || f.Reason != ShutDown || !f.Admitted {
		t.Errorf("Serve: %+v", f)
	}
}

func TestOtherRefusalsAreNotCountedAsFull(t *testing.T) {
	l := listen(t, Options{Method: MethodTrust, Admit: func(string, string) *pgerror.Error { return pgerror.ShuttingDown }})
	if got := converse(t, l.addr, []string{startup}); got != "E FATAL 57P03 the pooler is shutting down" {
		t.Errorf("answered %q", got)
	}
	if o := l.outcome(); o.f.Reason != Refused {
		t.Error(o.f)
	}
}

// TestFailuresTellNoSecret reads what a log would.
func TestFailuresTellNoSecret(t *testing.T) {
	for _, method := range []Method{MethodPassword, MethodMD5} {
		for _, text := range storedForms("app") {
			l := listen(t, Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": text})})
			converse(t, l.addr, []string{first(v30, "user\x00app\x00\x00") + message('p', "hunter2\x00")})
			o := l.outcome()
			if o.f == nil {
				t.Fatal("let in")
			}
			if s := o.f.Error(); strings.Contains(s, "hunter2") || strings.Contains(s, text) {
				t.Errorf("%v: %s", method, s)
			}
		}
	}
}

// TestLogSaysWhyThereIsNoPassword: of a user that auth_query has found, it may be that the password has expired.
func TestLogSaysWhyThereIsNoPassword(t *testing.T) {
	for asked, want := range map[bool]string{
		false: "no password is stored for this user",
		true:  "auth_query finds no password for this user: there is none, or it has expired (VALID UNTIL)",
	} {
		l := listen(t, Options{Method: MethodPassword, Verifiers: usualVerifiers(nil), Lookup: func(context.Context, Claim) (Account, error) {
			return Account{Known: true, Asked: asked}, nil
		}})
		converse(t, l.addr, []string{first(v30, "user\x00app\x00\x00") + message('p', "pencil\x00")})
		if o := l.outcome(); o.f.Reason != WrongPassword || o.f.Why != want {
			t.Errorf("asked: %t: %v", asked, o.f)
		}
	}
}
