package exchange

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"weir/proxy/wire"
)

// TestScripts runs testdata. The dialect:
//
//	run       one line an event or several, below the account after each line; a run begins with a new account,
//	          as after a login
//	go-on     like run, with the account of the step before
//
//	client P B E S     messages of the client by their type bytes
//	ahead P B E        messages of weir's own, in front of the client's
//	server 1 2 C Z:I   messages of the server; Z is followed by the status
//	client S*5000      the same message that often
//
// The account prints what is due, the phase of a COPY, unended (messages without a Sync), skipping (the server ignores all
// up to a Sync), the transaction status unless idle, free or settled, and the taints.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var x Exchange
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "run":
				x = Exchange{}
				x.Reset()
			case "go-on":
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			var out strings.Builder
			for line := range strings.SplitSeq(d.Input, "\n") {
				if err := play(&x, line); err != nil {
					d.Fatalf(t, "%s: %v", line, err)
				}
				fmt.Fprintln(&out, describe(&x))
			}
			return out.String()
		})
	})
}

// play enters one line of a script.
func play(x *Exchange, line string) error {
	who, messages, _ := strings.Cut(line, " ")
	for _, m := range strings.Fields(messages) {
		m, times, _ := strings.Cut(m, "*")
		n := 1
		if times != "" {
			var err error
			if n, err = strconv.Atoi(times); err != nil {
				return err
			}
		}
		for range n {
			switch {
			case who == "ahead" && len(m) == 1:
				x.Ahead(1)
			case who == "client" && len(m) == 1:
				x.Client(m[0])
			case who == "server" && len(m) == 3 && m[0] == wire.ServerReadyForQuery:
				x.Ready(wire.TxStatus(m[2]))
			case who == "server" && len(m) == 1 && m[0] != wire.ServerReadyForQuery:
				x.Server(m[0])
			default:
				return fmt.Errorf("%s cannot send %q", who, m)
			}
		}
	}
	return nil
}

func describe(x *Exchange) string {
	words := []string{fmt.Sprintf("due=%d", x.Due())}
	if x.Copying() != CopyNone {
		words = append(words, x.Copying().String())
	}
	if x.Unended() {
		words = append(words, "unended")
	}
	if x.Skipping() {
		words = append(words, "skipping")
	}
	switch x.Status() {
	case wire.TxActive:
		words = append(words, "in-transaction")
	case wire.TxFailed:
		words = append(words, "in-failed-transaction")
	}
	switch {
	case x.Free():
		words = append(words, "free")
	case x.Settled():
		words = append(words, "settled")
	}
	if x.Taint()&QueryBehindExecute != 0 {
		words = append(words, "taint=query-behind-execute")
	}
	if x.Taint()&Doubt != 0 {
		words = append(words, "taint=doubt")
	}
	return strings.Join(words, " ")
}
