package backend

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"weir/config"
	"weir/proxy/scram"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// saying makes a server that says script to each startup packet, and a target for it.
func saying(t *testing.T, script string) Target {
	return serve(t, func(nc net.Conn) {
		readPacket(t, nc, true)
		send(nc, script)
		_, _ = io.Copy(io.Discard, nc)
	})
}

// failedDial dials what must fail.
func failedDial(t *testing.T, to Target) *DialError {
	t.Helper()
	c, err := Dial(context.Background(), to)
	if err == nil {
		_ = c.Net.Close()
		t.Fatal("logged in")
	}
	var failed *DialError
	if !errors.As(err, &failed) {
		t.Fatalf("%v, want a *DialError", err)
	}
	return failed
}

// expectFailure wants a kind and a part of the cause.
func expectFailure(t *testing.T, to Target, kind Kind, cause string) {
	t.Helper()
	if failed := failedDial(t, to); failed.Kind != kind || !strings.Contains(failed.Cause(), cause) {
		t.Errorf("%s: %s, want %s: %s", failed.Kind, failed.Cause(), kind, cause)
	}
}

func errorOf(fields ...string) string { return message('E', strings.Join(fields, "\x00")+"\x00\x00") }

func TestStartupPacketSaysWhoAsksForWhat(t *testing.T) {
	got := make(chan string, 2)
	to := serve(t, func(nc net.Conn) {
		if packet := readPacket(t, nc, true); packet != "" {
			got <- packet
			send(nc, authOK, keyData, ready)
		}
	})
	to.ApplicationName, to.Settings = "it's weir", []session.Setting{{Name: "TimeZone", Value: "UTC"}, {Name: "options", Value: ""}}
	to.Protocol32 = true
	mustDial(t, to)
	to.Replication, to.ApplicationName, to.Settings, to.Protocol32 = "database", "", nil, false
	mustDial(t, to)
	for _, want := range []string{
		"\x00\x03\x00\x02user\x00app\x00database\x00shop\x00application_name\x00it's weir\x00TimeZone\x00UTC\x00options\x00\x00\x00",
		"\x00\x03\x00\x00user\x00app\x00database\x00shop\x00replication\x00database\x00\x00",
	} {
		if packet := <-got; packet != want {
			t.Errorf("the packet is %q, want %q", packet, want)
		}
	}
	for name, change := range map[string]func(*Target){
		"NUL in a value":  func(t *Target) { t.User = "app\x00database\x00postgres" },
		"NUL in a name":   func(t *Target) { t.Settings = []session.Setting{{Name: "a\x00b"}} },
		"an empty name":   func(t *Target) { t.Settings = []session.Setting{{Value: "x"}} },
		"a packet so big": func(t *Target) { t.ApplicationName = strings.Repeat("x", wire.MaxStartupPacket) },
	} {
		bad := to
		change(&bad)
		if failed := failedDial(t, bad); !strings.Contains(failed.Cause(), "startup") {
			t.Errorf("%s: %v", name, failed)
		}
	}
}

// TestNoticesOfALoginAreTold: from before the authentication to the end, cut to a length, and not without end.
func TestNoticesOfALoginAreTold(t *testing.T) {
	to := saying(t, notice("NOTICE", "before")+authOK+notice("WARNING", "your password expires")+keyData+
		notice("NOTICE", strings.Repeat("long \xff ", 10_000))+strings.Repeat(notice("NOTICE", "again"), 100)+ready)
	var heard []ServerMessage
	to.Notify = func(m ServerMessage) { heard = append(heard, m) }
	c := mustDial(t, to)
	if len(heard) != noticesMax || heard[0].Message != "before" || heard[1].Severity != "WARNING" || heard[1].Code != "01000" ||
		len(heard[2].Message) > fieldMax || !strings.HasPrefix(heard[2].Message, "long ? long") {
		t.Errorf("heard %+v", heard)
	}
	if len(c.Params) != 0 || c.Target.Notify != nil {
		t.Errorf("%+v", c)
	}
	_ = c.Net.Close()
	to.Notify = nil
	mustDial(t, to)
}

// TestNameIsShownToTheServer: by the name a server of several, or a router before them, chooses a certificate or a way (SNI).
func TestNameIsShownToTheServer(t *testing.T) {
	shown := make(chan string, 1)
	to := withTLS(t, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		shown <- hello.ServerName
		return nil, nil
	}}, func(nc net.Conn) {
		if len(readPacket(t, nc, true)) > 12 { // no cancel request
			send(nc, authOK, keyData, ready)
		}
	})
	for _, mode := range []config.SSLMode{config.SSLPrefer, config.SSLRequire} {
		to.TLS = serverTLS(t, config.TLS{SSLMode: mode})
		for host, want := range map[string]string{"localhost": "localhost", "127.0.0.1": ""} { // an address is no name (RFC 6066)
			to.Host = host
			c := mustDial(t, to)
			if got := <-shown; got != want {
				t.Errorf("%s, %s: the server is shown %q", mode, host, got)
			}
			if err := Cancel(context.Background(), c.Target, 7, []byte{1, 2, 3, 4}); err != nil {
				t.Error(err)
			}
			if got := <-shown; got != want {
				t.Errorf("%s, %s: with a cancel request the server is shown %q", mode, host, got)
			}
		}
	}
}

// TestIterationsAreBounded: a server may ask for a quarter of an hour of work, and gets an error; with keys it is no work.
func TestMessagesOfALoginAreBounded(t *testing.T) {
	parameter := message('S', "p\x00"+strings.Repeat("v", 200<<10)+"\x00")
	many := strings.Repeat(message('S', "p\x00v\x00"), 200_000)
	for name, script := range map[string]string{
		"a gigabyte announced":  "R\x40\x00\x00\x00",
		"2 GB announced":        authOK + "S\x80\x00\x00\x00",
		"the greatest length":   "R\xff\xff\xff\xff",
		"a length below itself": authOK + "S\x00\x00\x00\x03",
		"no length":             authOK + "S\x00\x00\x00\x00",
		"an error so big":       authOK + "E\x7f\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) { expectFailure(t, saying(t, script), Unreachable, "expected 4 to 262144") })
	}
	for name, script := range map[string]string{
		"parameters": authOK + strings.Repeat(parameter, 6) + ready, "small ones": authOK + many + ready,
		"notices before the authentication": strings.Repeat(notice("NOTICE", strings.Repeat("x", 200<<10)), 6) + authOK + ready,
	} {
		t.Run(name, func(t *testing.T) { expectFailure(t, saying(t, script), Unreachable, "1048576 bytes together") })
	}
	if c := mustDial(t, saying(t, authOK+parameter+keyData+ready)); len(param(c, "p")) != 200<<10 {
		t.Error("a long value is cut")
	}
}

// TestEndOfTheStreamIsAFailureEverywhere cuts whole logins after each byte.
func TestEndOfTheStreamIsAFailureEverywhere(t *testing.T) {
	for name, script := range map[string]string{
		"trust":    notice("NOTICE", "n") + authOK + message('S', "a\x00b\x00") + keyData + ready,
		"password": message('R', "\x00\x00\x00\x03") + authOK + ready,
		"SCRAM":    scramScript,
		"an error": errorOf("SFATAL", "VFATAL", "C28P01", "Mno"),
	} {
		for n := range len(script) {
			wire := &stub{script: script[:n]}
			l := newLogin(&Target{User: "app", Password: appPassword}, wire, 0, nil)
			if err := l.run(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d bytes of %q: %v", name, n, script, err)
			}
		}
	}
	expectFailure(t, serve(t, func(nc net.Conn) {
		readPacket(t, nc, true)
		send(nc, authOK)
	}), Unreachable, "the server closed the connection")
}

// scramScript is what a server says that has SCRAM. It does not know the password.
var scramScript = message('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00") + message('R', "\x00\x00\x00\x0br="+stubNonce+"server,s=c2FsdA==,i=1")

// stub is a server that says its script whatever it hears. In it stubNonce stands for what the client has sent.
type stub struct {
	script string
	nonce  string
	said   int // bytes
}

const stubNonce = "____________NONCE_______" // as long as one: 24

func (s *stub) Write(p []byte) (int, error) {
	if _, nonce, ok := bytes.Cut(p, []byte("n=,r=")); ok {
		s.nonce = string(nonce)
	}
	return len(p), nil
}

func (s *stub) Read(p []byte) (int, error) {
	if s.nonce != "" {
		s.script = strings.ReplaceAll(s.script, stubNonce, s.nonce)
	}
	if s.said == len(s.script) {
		return 0, io.EOF
	}
	n := copy(p, s.script[s.said:])
	s.said += n
	return n, nil
}

func TestCancelKeyHasWhatTheProtocolAllows(t *testing.T) {
	key := func(n int) string { return message('K', "\x00\x00\x00\x07"+strings.Repeat("s", n)) }
	const older = "v\x00\x00\x00\x0c\x00\x03\x00\x00\x00\x00\x00\x00"
	for name, c := range map[string]struct {
		script string
		newer  bool
		want   int // bytes; -1: a failure
	}{
		"3.0":                           {authOK + key(4) + ready, false, 4},
		"3.2":                           {authOK + key(32) + ready, true, 32},
		"3.2, all there is":             {authOK + key(256) + ready, true, 256},
		"3.2, no long one":              {authOK + key(4) + ready, true, 4},
		"3.2, negotiated down":          {older + authOK + key(4) + ready, true, 4},
		"none":                          {authOK + ready, true, 0},
		"too long":                      {authOK + key(257) + ready, true, -1},
		"too short":                     {authOK + key(3) + ready, true, -1},
		"3.0, long":                     {authOK + key(32) + ready, false, -1},
		"negotiated down, long":         {older + authOK + key(32) + ready, true, -1},
		"negotiated twice":              {older + older + authOK + key(4) + ready, true, -1},
		"negotiated without need":       {older + authOK + key(4) + ready, false, -1},
		"negotiated too late":           {authOK + older + key(4) + ready, true, -1},
		"negotiated after the password": {message('R', "\x00\x00\x00\x03") + older + authOK + key(4) + ready, true, -1},
	} {
		t.Run(name, func(t *testing.T) {
			to := saying(t, c.script)
			to.Protocol32, to.Password = c.newer, "x"
			if c.want < 0 {
				expectFailure(t, to, Unreachable, "the server")
				return
			}
			if conn := mustDial(t, to); len(conn.Secret) != c.want {
				t.Errorf("%d bytes", len(conn.Secret))
			}
		})
	}
}

// TestServerWithoutTheNewProtocolIsAskedForTheOld: one that knows no negotiation refuses, and is asked again, once.
func TestServerWithoutTheNewProtocolIsAskedForTheOld(t *testing.T) {
	for code, wanted := range map[string]bool{"0A000": true, "08P01": true, "28P01": false, "57P03": false} {
		var asked []byte
		to := serve(t, func(nc net.Conn) {
			packet := readPacket(t, nc, true)
			if asked = append(asked, packet[3]); packet[3] == 2 {
				send(nc, errorOf("SFATAL", "VFATAL", "C"+code, "Munsupported frontend protocol 3.2: server supports 2.0 to 3.0"))
				return
			}
			send(nc, authOK, keyData, ready)
			readPacket(t, nc, false)
		})
		to.Protocol32 = true
		c, err := Dial(context.Background(), to)
		if (err == nil) != wanted {
			t.Errorf("%s: %v", code, err)
		}
		if err == nil {
			_ = c.Net.Close()
		}
		if want := map[bool]string{true: "\x02\x00", false: "\x02"}[wanted]; string(asked) != want {
			t.Errorf("%s: asked for %v", code, asked)
		}
	}
}

// TestPasswordIsAskedForOnce: a server that has its answer and asks again, in the same way or in another, hears nothing more.
// TestAnswerToTheRequestForTLS: what is neither yes nor no is a failure, and its text is not shown: it could be anybody's.
// TestLiarGetsNoSecondTry: a server that cannot prove itself over TLS is not asked again without.
// TestPasswordLogsInByEachMethod that servers have.
// TestMechanismIsOneOfWeirs: without TLS there is nothing to bind to, whatever the server offers.
// FuzzLogin reads whatever a server may send. A login that succeeds has read up to a ReadyForQuery and not one byte further.
func FuzzLogin(f *testing.F) {
	v, keys := scram.Derive(appPassword, []byte("salt"), 1)
	for _, script := range []string{
		authOK + keyData + ready + "rest", scramScript + message('R', "\x00\x00\x00\x0cv="+base64.StdEncoding.EncodeToString(v.Signature("x"))) + authOK + ready,
		message('R', "\x00\x00\x00\x05salt") + authOK + ready, message('R', "\x00\x00\x00\x03") + notice("WARNING", "x") + authOK + ready,
		"v\x00\x00\x00\x0c\x00\x03\x00\x00\x00\x00\x00\x00" + authOK + message('S', "a\x00b\x00") + ready,
		errorOf("SFATAL", "C28P01", "Mno"), "Ecould not fork\n\x00", "HTTP/1.1 400 Bad Request\r\n",
	} {
		f.Add(script, true)
		f.Add(script, false)
	}
	f.Fuzz(func(t *testing.T, script string, password bool) {
		to := Target{User: "app", Database: "shop", Substitutes: Substitutes{Keys: []scram.Keys{keys}, MD5: config.NewSecret("md5")}}
		if password {
			to.Password = appPassword
		}
		to.Notify = func(m ServerMessage) {
			if len(m.Message) > 3*fieldMax || len(m.Code) != 5 {
				t.Errorf("a notice %+v", m)
			}
		}
		for _, minor := range []uint16{0, wire.MaxMinor} {
			s := &stub{script: script}
			l := newLogin(&to, s, minor, nil)
			err := l.run()
			if err == nil && !strings.HasSuffix(s.script[:s.said], ready) {
				t.Errorf("it ends with %q", s.script[:s.said])
			}
			if err == nil && l.auth.stage != authDone {
				t.Errorf("it ends in %s", l.auth.stage)
			}
			if err != nil && to.fail(err).Cause() == "" {
				t.Errorf("no cause: %v", err)
			}
		}
	})
}
