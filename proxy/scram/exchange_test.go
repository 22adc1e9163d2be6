package scram

import (
	"errors"
	"strings"
	"testing"
)

// TestPasswordExchange is that of RFC 7677, out of the password itself.
func TestPasswordExchange(t *testing.T) {
	stored := verifierOf(t, pencilVerifier)
	x := NewPasswordExchange("pencil", rfcClientNonce, nil)
	s := &server{v: stored, nonce: "%server"}
	final, err := x.Final(s.start(x.First(), "n,,"))
	if err != nil {
		t.Fatal(err)
	}
	_, last, err := s.finish(final)
	if err != nil {
		t.Fatalf("the server does not take %q: %v", final, err)
	}
	if err := x.Verify(last); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "v=", last + ",x=y", last + "\n", last[:10] + "\n" + last[10:], last[:len(last)-1], strings.TrimSuffix(last, "="), "V" + last[1:], "e=other-error"} {
		if err := x.Verify(bad); err == nil {
			t.Errorf("%q is taken for the server's proof", bad)
		}
	}
}

func TestServersFirstMessageIsReadToTheLetter(t *testing.T) {
	nonce := rfcClientNonce + "x"
	for _, bad := range []string{
		"", "r=" + nonce, "r=" + nonce + ",s=W22Z", "s=W22Z,r=" + nonce + ",i=1", "r=" + nonce + ",s=,i=1", "r=" + nonce + ",s=W2\n2Z,i=1",
		"r=" + nonce + ",s=W22,i=1", "r=" + nonce + ",s=W22Z,i=", "r=" + nonce + ",s=W22Z,i=+1", "r=" + nonce + ",s=W22Z,i=1 ",
		"r=" + nonce + ",s=W22Z,i=0x10", "r=" + nonce + " ,s=W22Z,i=1", "r=" + nonce + "\x00,s=W22Z,i=1", "r=" + nonce + "é,s=W22Z,i=1",
		"r=" + rfcClientNonce + ",s=W22Z,i=1", "r=x" + nonce + ",s=W22Z,i=1", "m=x,r=" + nonce + ",s=W22Z,i=1",
	} {
		if final, err := NewPasswordExchange("pencil", rfcClientNonce, nil).Final(bad); err == nil {
			t.Errorf("%q is answered with %q", bad, final)
		}
	}
}

func TestIterationsAreBoundedForPasswords(t *testing.T) {
	x := NewPasswordExchange("pencil", "n", nil)
	_, err := x.Final("r=nx,s=W22Z,i=1000001")
	if asked, ok := errors.AsType[TooManyIterations](err); !ok || asked != 1_000_001 {
		t.Error(err)
	}
}
