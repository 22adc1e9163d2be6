package login

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"weir/config"
	"weir/proxy/scram"
	"weir/proxy/wire"
)

// outcome is what Serve returned for one connection.
type outcome struct {
	res Result
	f   *Failure
}

// listener is an address at which Serve logs connections in, and relay answers them then: the whole of what a driver needs to believe that it
// is connected. Queries get an empty answer.
type listener struct {
	addr     string
	outcomes chan outcome
}

// usualVerifiers have PostgreSQL's iterations.
func usualVerifiers(secret []byte, known ...config.Secret) *Verifiers {
	return NewVerifiers(scram.DefaultIterations, secret, known...)
}

func listen(t *testing.T, opt Options) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listenAt(t, ln, opt)
}

func listenAt(t *testing.T, ln net.Listener, opt Options) *listener {
	t.Helper()
	l := &listener{addr: ln.Addr().String(), outcomes: make(chan outcome, 16)}
	if opt.Timeout == 0 {
		opt.Timeout = time.Minute // a hang shows as a failure rather than as the test binary's own time limit
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				res, err := Serve(context.Background(), nc, time.Now(), &opt)
				l.outcomes <- outcome{res, failureOf(t, err)}
				if err == nil && res.Cancel == nil {
					relay(res.Conn, res.Owed)
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return l
}

func (l *listener) outcome() outcome { return <-l.outcomes }

func (l *listener) port() string {
	_, port, _ := net.SplitHostPort(l.addr)
	return port
}

func failureOf(t *testing.T, err error) *Failure {
	t.Helper()
	if err == nil {
		return nil
	}
	var f *Failure
	if !errors.As(err, &f) {
		t.Errorf("Serve returned %T: %v", err, err)
	}
	return f
}

func relay(nc net.Conn, owed []byte) {
	out := wire.AppendParameterStatus(owed, "server_version", "15.0")
	out = wire.AppendParameterStatus(out, "client_encoding", "UTF8")
	out = wire.AppendParameterStatus(out, "standard_conforming_strings", "on")
	out = wire.AppendBackendKeyData(out, 1, []byte{0, 0, 0, 1})
	out = wire.AppendReadyForQuery(out, wire.TxIdle)
	if _, err := nc.Write(out); err != nil {
		return
	}
	client := pgproto3.NewBackend(nc, nc)
	for {
		m, err := client.Receive()
		if err != nil {
			return
		}
		if _, ok := m.(*pgproto3.Query); !ok {
			return
		}
		out := wire.AppendReadyForQuery(wire.AppendCommandComplete(nil, "SELECT 0"), wire.TxIdle)
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// users is a Lookup of a fixed table.
func users(table map[string]string) Lookup {
	return func(_ context.Context, c Claim) (Account, error) {
		p, ok := table[c.User]
		return Account{Known: ok, Stored: config.NewSecret(p)}, nil
	}
}
