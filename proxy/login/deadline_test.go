package login

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/config"
	"weir/proxy/pgerror"
)

// The tests of this file run under a fake clock, which stands still until everybody waits: what they say of time is exact,
// and a goroutine that is left behind fails them.

func TestSilentPeersAreGivenUpAtTheDeadline(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		want       string // what the peer is told behind its last answer
	}{
		{"nothing sent", "", ""},
		{"half a packet", startup[:9], ""},
		{"SSLRequest", first(sslCode, ""), "N"},
		{"startup packet", startup, "R SASL [SCRAM-SHA-256]; E FATAL 57014 canceling authentication due to timeout"},
		{"half an answer", startup + "p\x00\x00", "R SASL [SCRAM-SHA-256]; E FATAL 57014 canceling authentication due to timeout"},
		{"length without a body", startup + "p\x00\x00\x04\x00", "R SASL [SCRAM-SHA-256]; E FATAL 57014 canceling authentication due to timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				said, err := servePipe(context.Background(), c.sent, Options{Timeout: time.Minute, Verifiers: usualVerifiers(nil), Lookup: users(nil)})
				f := failureOf(t, err)
				if f == nil || f.Reason != TimedOut {
					t.Errorf("Serve: %v, want a timeout", err)
				}
				if (f.Err != nil) != (c.want != "" && c.want != "N") {
					t.Errorf("the failure says that the client was told %v", f.Err)
				}
				if said != c.want {
					t.Errorf("told %q, want %q", said, c.want)
				}
				if took := time.Since(begin); took != time.Minute {
					t.Errorf("given up after %v, want one minute", took)
				}
			})
		})
	}
}

// servePipe runs Serve on one end of a pipe while the other sends, reads, and waits for the end.
func servePipe(ctx context.Context, sent string, opt Options) (said string, err error) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.WriteString(theirs, sent) }()
	heard := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(theirs)
		heard <- b
	}()
	_, err = Serve(ctx, ours, time.Now(), &opt)
	ours.Close()
	b := <-heard
	theirs.Close()
	if string(b) == "N" {
		return "N", err
	}
	return transcript(b), err
}

func TestPeerThatDoesNotReadIsGivenUpAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.WriteString(theirs, startup) }()
		begin := time.Now()
		_, err := Serve(context.Background(), ours, time.Now(), &Options{Timeout: time.Minute, Verifiers: usualVerifiers(nil), Lookup: users(nil)})
		if f := failureOf(t, err); f == nil || f.Reason != TimedOut {
			t.Errorf("Serve: %v, want a timeout", err)
		}
		if took := time.Since(begin); took != time.Minute+refusalGrace {
			t.Errorf("given up after %v, want the deadline and the grace", took)
		}
		theirs.Close()
	})
}

func TestShutdownEndsLogins(t *testing.T) {
	for sent, want := range map[string]string{
		"":      "",
		startup: "R SASL [SCRAM-SHA-256]; E FATAL 57P03 the pooler is shutting down",
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			said, err := servePipe(ctx, sent, Options{Timeout: time.Minute, Verifiers: usualVerifiers(nil), Lookup: users(nil)})
			if f := failureOf(t, err); f == nil || f.Reason != ShutDown {
				t.Errorf("Serve: %v, want a shutdown", err)
			}
			if said != want {
				t.Errorf("told %q, want %q", said, want)
			}
		})
	}
}

func TestDeadlineIsGoneAfterTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		go func() {
			_, _ = io.WriteString(theirs, startup)
			time.Sleep(time.Hour)
			_, _ = io.WriteString(theirs, "later")
		}()
		if _, err := Serve(context.Background(), ours, time.Now(), &Options{Timeout: time.Minute, Method: MethodTrust}); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(ours, b); err != nil || string(b) != "later" {
			t.Errorf("an hour later: %q, %v", b, err)
		}
	})
}

// TestFailuresAreAnsweredAtOneTime measures, for the three methods, unknown users and each stored form: all refusals come
// failureDelay behind the answer that they refuse.
func TestFailuresAreAnsweredAtOneTime(t *testing.T) {
	for _, method := range []Method{MethodMD5, MethodPassword} {
		for _, user := range []string{"clear", "hashed", "nobody"} {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				sent := first(v30, "user\x00"+user+"\x00\x00") + message('p', "wrong\x00")
				_, err := servePipe(context.Background(), sent, Options{
					Method: method, Verifiers: usualVerifiers(nil, config.NewSecret(rightPassword)),
					Lookup: users(map[string]string{"clear": rightPassword, "hashed": md5Hash(rightPassword, "hashed")}),
				})
				if f := failureOf(t, err); f == nil || f.Err == nil || f.Err.Code != pgerror.CodeInvalidPassword {
					t.Errorf("Serve: %v", err)
				}
				if took := time.Since(begin); took != failureDelay {
					t.Errorf("%v, user %s: refused after %v, want %v", method, user, took, failureDelay)
				}
			})
		}
	}
}

func TestClosedConnectionIsGone(t *testing.T) {
	ours, theirs := net.Pipe()
	theirs.Close()
	_, err := Serve(context.Background(), ours, time.Now(), &Options{Timeout: time.Minute, Method: MethodTrust})
	if f := failureOf(t, err); f == nil || f.Reason != Gone || f.Err != nil {
		t.Errorf("Serve: %v", err)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("%v does not tell its cause", err)
	}
}

// TestLookupEndsWithTheLogin: a lookup that does not come to an end is bounded by the one deadline, and by a shutdown.
func TestLookupEndsWithTheLogin(t *testing.T) {
	forever := func(ctx context.Context, _ Claim) (Account, error) {
		<-ctx.Done()
		return Account{}, ctx.Err()
	}
	for _, again := range []bool{false, true} { // which of the two lookups
		lookup := func(ctx context.Context, c Claim) (Account, error) {
			if c.Again == again {
				return forever(ctx, c)
			}
			return Account{}, nil
		}
		sent := first(v30, "user\x00app\x00\x00")
		if again {
			sent += message('p', "wrong\x00")
		}
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			said, err := servePipe(context.Background(), sent, Options{Timeout: time.Minute, Method: MethodPassword, Verifiers: usualVerifiers(nil), Lookup: lookup, LookupWaits: true})
			if took := time.Since(begin); took != time.Minute {
				t.Errorf("ended after %v, want one minute", took)
			}
			if f := failureOf(t, err); f == nil || f.Reason != TimedOut || !strings.HasSuffix(said, "E FATAL 57014 canceling authentication due to timeout") {
				t.Errorf("again %v: %v, told %q", again, f, said)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		_, err := servePipe(ctx, startup, Options{Timeout: time.Minute, Verifiers: usualVerifiers(nil), Lookup: forever, LookupWaits: true})
		if f := failureOf(t, err); f == nil || f.Reason != ShutDown {
			t.Errorf("%v, want a shutdown", err)
		}
	})
}
