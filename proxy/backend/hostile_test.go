package backend

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"weir/config"
	"weir/proxy/scram"
	"weir/proxy/wire"
)

// What a server may ask for that it should not have, and say that is not true.

func TestIterationsAreBounded(t *testing.T) {
	v, keys := scram.Derive(appPassword, []byte("salt"), 4096)
	for count, want := range map[string]struct {
		kind Kind
		text string
	}{
		fmt.Sprint(scram.IterationsMax + 1): {Refused, "has 1000001 iterations, and weir computes at most 1000000"},
		"2147483647":                        {Refused, "has 2147483647 iterations"},
		"2147483648":                        {Unreachable, "malformed"},
		"18446744073709551617":              {Unreachable, "malformed"},
		"0":                                 {Unreachable, "malformed"},
		"-4096":                             {Unreachable, "malformed"},
		"+4096":                             {Unreachable, "malformed"},
		"":                                  {Unreachable, "malformed"},
	} {
		var s *saslServer
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			s = &saslServer{v: v, offer: scram.Mechanism + "\x00", first: func(m string) string { return strings.Replace(m, "i=4096", "i="+count, 1) }}
			s.run(t, nc)
		})
		to.Password = appPassword
		expectFailure(t, to, want.kind, want.text)
	}
	v.Iterations = 2_000_000_000
	s := &saslServer{v: v, offer: scram.Mechanism + "\x00"}
	to := serve(t, func(nc net.Conn) {
		readPacket(t, nc, true)
		s.run(t, nc)
	})
	to.Substitutes = Substitutes{Keys: []scram.Keys{keys}}
	if failed := failedDial(t, to); failed.Lacking() == nil || failed.Lacking().Lack != LackFit {
		t.Error(failed)
	}
}

func TestPasswordIsAskedForOnce(t *testing.T) {
	const clear, md5 = "\x00\x00\x00\x03", "\x00\x00\x00\x05salt"
	const sasl, again, final = "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00", "\x00\x00\x00\x0br=x,s=c2FsdA==,i=1", "\x00\x00\x00\x0cv=x"
	for _, questions := range [][2]string{
		{clear, clear},
		{clear, md5},
		{clear, sasl},
		{md5, clear},
		{md5, md5},
		{md5, sasl},
		{sasl, clear},
		{sasl, md5},
		{sasl, sasl},
		{clear, again},
		{clear, final},
		{sasl, final},
		{"", again},
		{"", final},
		{"\x00\x00\x00\x00", clear},
		{sasl, "\x00\x00\x00\x00"},
	} {
		heard := make(chan []string, 1)
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			var answers []string
			for _, q := range questions {
				if q == "" {
					continue
				}
				send(nc, message('R', q))
				if q == "\x00\x00\x00\x00" {
					continue
				}
				if answer := readPacket(t, nc, false); answer != "" {
					answers = append(answers, answer)
				}
			}
			heard <- answers
		})
		to.Password = "the password"
		if failed := failedDial(t, to); failed.Kind != Unreachable {
			t.Errorf("%q: %v", questions, failed)
		}
		if got := <-heard; len(got) > 1 {
			t.Errorf("%q: the server heard %q", questions, got)
		}
	}
}

func TestErrorsOfALogin(t *testing.T) {
	for name, c := range map[string]struct {
		script, code, message string
		kind                  Kind
	}{
		"as usual":        {errorOf("SFATAL", "VFATAL", "C28P01", "Mno"), "28P01", "no", Refused},
		"after the OK":    {authOK + errorOf("SFATAL", "VFATAL", "C3D000", "Mno such database"), "3D000", "no such database", Refused},
		"no SQLSTATE":     {errorOf("SERROR", "Mpooler is full"), codeNone, "pooler is full", Unreachable},
		"an odd SQLSTATE": {errorOf("SERROR", "C28p", "Modd"), codeNone, "odd", Unreachable},
		"nothing at all":  {message('E', ""), codeNone, "an error without a message", Unreachable},
		"a field cut off": {message('E', "Mcut"), codeNone, "cut", Unreachable},
		"no UTF-8":        {errorOf("SFATAL", "C57P03", "Mm\xfcde"), "57P03", "m?de", Unreachable},
		"long":            {errorOf("SFATAL", "C57P03", "M"+strings.Repeat("x", 100_000)), "57P03", strings.Repeat("x", fieldMax), Unreachable},
		"of protocol 2":   {"Ecould not fork new process for connection: Resource temporarily unavailable\n\x00", codeNone, "ould not fork new process for connection: Resource temporarily unavailable", Unreachable},
		"of protocol 2, cut": {
			"EFATAL:  sorry, too many clients already\n", codeNone,
			"FATAL:  sorry, too many clients already", Unreachable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			failed := failedDial(t, serve(t, func(nc net.Conn) {
				readPacket(t, nc, true)
				send(nc, c.script)
			}))
			if failed.Server == nil || failed.SQLState() != c.code || failed.Server.Code != c.code || !strings.HasSuffix(failed.Cause(), c.message) || failed.Kind != c.kind {
				t.Errorf("%s: %v: %q %q", failed.Kind, failed, failed.SQLState(), failed.Cause())
			}
		})
	}
	expectFailure(t, serve(t, func(nc net.Conn) {
		readPacket(t, nc, true)
		send(nc, "E\xff\xff\xff\xff\x01\x02")
	}), Unreachable, "expected 4 to 262144")
}

func TestAnswerToTheRequestForTLS(t *testing.T) {
	for answer, want := range map[string]string{
		errorOf("SFATAL", "C08P01", "Msend money"): "answers a request for TLS with an error",
		"X": "answers 'X' to a request for TLS",
		"":  "the server closed the connection",
		// In clear after the yes: a machine in between would have its bytes taken for the server's (CVE-2021-23222).
		"S" + authOK + keyData + ready: "first record does not look like a TLS handshake",
	} {
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			send(nc, answer)
		})
		to.TLS = serverTLS(t, config.TLS{SSLMode: config.SSLRequire})
		if failed := failedDial(t, to); !strings.Contains(failed.Cause(), want) || strings.Contains(failed.Error(), "money") {
			t.Errorf("%q: %v", answer, failed)
		}
	}
}

func TestLiarGetsNoSecondTry(t *testing.T) {
	wrong, _ := scram.Derive("wrong", []byte("salt"), 4096)
	var asked atomic.Int32
	to := withTLS(t, &tls.Config{}, func(nc net.Conn) {
		asked.Add(1)
		readPacket(t, nc, true)
		s := saslServer{v: wrong, offer: scram.Mechanism + "\x00"}
		s.run(t, nc)
	})
	to.TLS, to.Password = serverTLS(t, config.TLS{SSLMode: config.SSLPrefer}), appPassword
	expectFailure(t, to, Unreachable, "a machine in between")
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestPasswordLogsInByEachMethod(t *testing.T) {
	d, _ := roles(t)
	for _, user := range []string{"app", "hashed", "asked_clearly"} {
		for _, mode := range []config.SSLMode{config.SSLDisable, config.SSLRequire} {
			to := targetOf(d)
			to.User, to.Password, to.TLS = user, appPassword, serverTLS(t, config.TLS{SSLMode: mode})
			if got := query(t, mustDial(t, to), "select current_user"); got != user {
				t.Errorf("%s, %s: the backend answers %q", user, mode, got)
			}
		}
	}
}

func TestMechanismIsOneOfWeirs(t *testing.T) {
	v, _ := scram.Derive(appPassword, []byte("salt"), 4096)
	for offer, want := range map[string]string{
		scram.MechanismPlus + "\x00" + scram.Mechanism + "\x00": "",
		scram.MechanismPlus + "\x00":                            "of which weir has none",
		"OAUTHBEARER\x00":                                       "of which weir has none",
		"":                                                      "of which weir has none",
	} {
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			s := saslServer{v: v, offer: offer}
			s.run(t, nc)
			send(nc, authOK, keyData, ready)
			readPacket(t, nc, false)
		})
		to.Password = appPassword
		if want != "" {
			expectFailure(t, to, Unreachable, want)
		} else {
			mustDial(t, to)
		}
	}
}

func TestParametersOfALoginAreBounded(t *testing.T) {
	for many, reports := range map[bool]int{false: wire.MaxReported, true: wire.MaxReported + 1} {
		script := []byte(authOK)
		for i := range reports {
			script = wire.AppendParameterStatus(script, fmt.Sprintf("p%d", i), "x")
		}
		to := serve(t, func(nc net.Conn) {
			readPacket(t, nc, true)
			send(nc, string(wire.AppendReadyForQuery(script, wire.TxIdle)))
		})
		if many {
			expectFailure(t, to, Unreachable, "more than 256 parameters")
			continue
		}
		c, err := Dial(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Net.Close()
	}
}
