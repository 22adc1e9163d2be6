package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/internal/testca"
	"weir/proxy/wire"
)

// TestBackendsUseTLSAsConfigured asks the server itself what it sees of weir's connection, by each of libpq's modes. Login's own
// tests have the clients' modes.
func TestBackendsUseTLSAsConfigured(t *testing.T) {
	d := database(t)
	for _, role := range []string{"needs_tls", "certified"} {
		_ = d.Server.Exec(context.Background(), "postgres", "CREATE ROLE "+role+" LOGIN")
	}
	dir := t.TempDir()
	authority.Write(dir, "ca")
	testca.New("stranger").Write(dir, "stranger")
	authority.Issue(testca.Subject{CN: "certified"}).Write(dir, "certified")
	section := func(database, mode, more string) string {
		where := "server_tls"
		if database != "" {
			where = "databases." + database + ".server_tls"
		}
		return fmt.Sprintf("[%s]\nsslmode = %q\n%s\n", where, mode, strings.ReplaceAll(more, "DIR", dir))
	}
	const ca, stranger, pair = "ca_file = \"DIR/ca.crt\"\n", "ca_file = \"DIR/stranger.crt\"\n", "cert_file = \"DIR/certified.crt\"\nkey_file = \"DIR/certified.key\"\n"
	const refused = "could not connect to the server"
	for _, tt := range []struct{ user, config, want string }{
		{"", section("", "disable", ""), "false "},
		{"", section("", "allow", ""), "false "},
		{"", section("", "prefer", ""), "true TLSv1.3"},
		{"", section("", "require", ""), "true TLSv1.3"},
		{"", section("", "verify-ca", ca), "true TLSv1.3"},
		{"", section("", "verify-full", ca), "true TLSv1.3"},
		{"", section("", "verify-full", stranger), refused},
		{"needs_tls", section("", "disable", ""), "pg_hba.conf rejects connection"},
		{"needs_tls", section("", "allow", ""), "true TLSv1.3"},
		{"certified", section("", "require", ca+pair), "true TLSv1.3"},
		{"certified", section("", "require", ca), "connection requires a valid client certificate"},
		{"", section("", "disable", "") + "[databases.\"*\"]\nhost=\"127.0.0.1\"\nport=PORT\n" + section(`"*"`, "require", ""), "true TLSv1.3"},
		{"", section("", "verify-full", stranger) + "[databases.\"*\"]\nhost=\"localhost\"\nport=PORT\n" + section(`"*"`, "verify-full", ca), "true TLSv1.3"},
	} {
		user := tt.user
		if user == "" {
			user = d.Server.Superuser()
		}
		w := start(t, d, strings.ReplaceAll(tt.config, "PORT", fmt.Sprint(d.Server.Port())))
		c, err := tryDial(t, w.Addr, user, d.Name)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = c.Query("SELECT ssl || ' ' || coalesce(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
		}
		if got != tt.want && (len(tt.want) < 10 || !strings.Contains(got, tt.want)) {
			t.Errorf("%s\nas %s: %s, want %s", tt.config, user, got, tt.want)
		}
		w.Stop()
	}
}

// TestDriversOverTLS: what people use, with TLS on both sides, and everything verified on both.
func TestDriversOverTLS(t *testing.T) {
	d := database(t)
	_ = d.Server.Exec(context.Background(), "postgres", "CREATE ROLE app LOGIN")
	dir := tlsFolder(t)
	w := start(t, d, clientTLS(dir, "verify-full", fmt.Sprintf("ca_file = %q", dir+"/ca.crt"))+
		fmt.Sprintf("[server_tls]\nsslmode = \"verify-full\"\nca_file = %q\n", dir+"/ca.crt"))
	host, port, _ := net.SplitHostPort(w.Addr)
	for _, version := range []string{"TLSv1.2", "TLSv1.3"} {
		dsn := fmt.Sprintf("host=%s port=%s user=app dbname=%s sslmode=verify-full sslrootcert=%[4]s/ca.crt sslcert=%[4]s/app.crt sslkey=%[4]s/app.key",
			host, port, d.Name, dir)
		t.Run("pgx "+version, func(t *testing.T) {
			c, err := pgx.ParseConfig(dsn)
			if err != nil {
				t.Fatal(err)
			}
			if version == "TLSv1.2" {
				c.TLSConfig.MaxVersion = tls.VersionTLS12
			}
			conn, err := pgx.ConnectConfig(context.Background(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(context.Background()) }()
			var n int
			for i := range 100 {
				if err := conn.QueryRow(context.Background(), "SELECT $1::int + 1", i).Scan(&n); err != nil || n != i+1 {
					t.Fatalf("%d %v", n, err)
				}
			}
			if _, err := conn.Exec(context.Background(), "CREATE TEMP TABLE copied (n int)"); err != nil {
				t.Fatal(err)
			}
			rows, err := conn.CopyFrom(context.Background(), pgx.Identifier{"copied"}, []string{"n"}, pgx.CopyFromSlice(100_000, func(i int) ([]any, error) {
				return []any{i}, nil
			}))
			if err != nil || rows != 100_000 {
				t.Errorf("copied %d, %v", rows, err)
			}
			tag, err := conn.PgConn().CopyTo(context.Background(), io.Discard, "COPY copied TO STDOUT")
			if err != nil || tag.RowsAffected() != 100_000 {
				t.Errorf("copied out %s, %v", tag, err)
			}
		})
		t.Run("psql "+version, func(t *testing.T) {
			psql := d.Server.Bin("psql")
			if psql == "" {
				t.Skip("no psql")
			}
			cmd := exec.Command(psql, "-XAtqc", "SELECT sum(length(x)) FROM (SELECT repeat('x', 100000) x FROM generate_series(1, 100)) s",
				"-c", "SELECT length(string_agg(x, '')) FROM (SELECT repeat('x', 1000) x FROM generate_series(1, 50000)) s",
				"-c", "\\conninfo", dsn+" ssl_max_protocol_version="+version)
			cmd.Env = append(os.Environ(), "HOME=/nowhere")
			out, err := cmd.CombinedOutput()
			if got := string(out); err != nil || !strings.HasPrefix(got, "10000000\n50000000\n") || !strings.Contains(got, version) {
				t.Errorf("%s %v", got, err)
			}
		})
		t.Run("psql reads a large result "+version, func(t *testing.T) {
			psql := d.Server.Bin("psql")
			if psql == "" {
				t.Skip("no psql")
			}
			cmd := exec.Command(psql, "-XAtqc", "SELECT repeat('x', 10000) FROM generate_series(1, 2000)", dsn+" ssl_max_protocol_version="+version)
			cmd.Env = append(os.Environ(), "HOME=/nowhere")
			if out, err := cmd.Output(); err != nil || len(out) != 2000*10001 {
				t.Errorf("%d bytes, %v", len(out), err)
			}
		})
	}
}

func TestCancelOverTLS(t *testing.T) {
	d := database(t)
	w := startWithTLS(t, d, "")
	for name, cancel := range map[string]func(c *wireClient) error{
		"in TLS":                              func(c *wireClient) error { return tryCancelOver(startTLS(t, dialRaw(t, w.Addr)), c.pid, c.secret) },
		"in plain text, as libpq 16 sends it": func(c *wireClient) error { return tryCancel(w.Addr, c.pid, c.secret) },
		"direct": func(c *wireClient) error {
			top := tls.Client(dialRaw(t, w.Addr), &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"}})
			return tryCancelOver(top, c.pid, c.secret)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := enter(t, w, d)
			c.inBackground("SELECT pg_sleep(3600)")
			expectRunning(t, d, "SELECT pg_sleep(3600)", 1)
			if err := cancel(c); err != nil {
				t.Error(err)
			}
			refused(t, c.Answer().Err(), "57014")
			c.Query("SELECT 1")
		})
	}
	t.Run("pgx", func(t *testing.T) {
		c, err := pgconn.Connect(context.Background(), w.DSN(d))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(context.Background()) }()
		done := make(chan error, 1)
		go func() { _, err := c.Exec(context.Background(), "SELECT pg_sleep(3600)").ReadAll(); done <- err }()
		expectRunning(t, d, "SELECT pg_sleep(3600)", 1)
		if err := c.CancelRequest(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "57014") {
			t.Error(err)
		}
	})
}

// TestDirectTLSThroughWeir is what libpq 17 does with sslnegotiation=direct.
func TestDirectTLSThroughWeir(t *testing.T) {
	d := database(t)
	w := startWithTLS(t, d, "")
	nc := dialRaw(t, w.Addr)
	top := tls.Client(nc, &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"}})
	c, err := tryDialOver(t, top, d.Server.Superuser(), d.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Query("SELECT 'direct'"); got != "direct" {
		t.Errorf("%q", got)
	}
	other := tls.Client(dialRaw(t, w.Addr), &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"})
	if _, err := tryDialOver(t, other, d.Server.Superuser(), d.Name); err == nil {
		t.Error("direct TLS without ALPN was accepted")
	}
	eventuallyLogged(t, w, "login failed", "reason=tls", "direct TLS without the ALPN protocol postgresql")
	// libpq 17 itself, under a psql that need not be as new.
	t.Run("libpq", func(t *testing.T) {
		psql := d.Server.Bin("psql")
		lib, major := pgserver.FetchedLibpq()
		if psql == "" || major < 17 {
			t.Skip("no psql, or no libpq 17")
		}
		_, port, _ := net.SplitHostPort(w.Addr)
		cmd := exec.Command(psql, "-XAtqc", "SELECT 'direct'", fmt.Sprintf(
			"host=localhost hostaddr=127.0.0.1 port=%s user=%s dbname=%s sslmode=require sslnegotiation=direct", port, d.Server.Superuser(), d.Name))
		cmd.Env = append(os.Environ(), "HOME=/nowhere", "LD_LIBRARY_PATH="+lib)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "direct\n" {
			t.Errorf("libpq %d: %q %v", major, out, err)
		}
	})
}

// TestEarlyBytesInTLSAreRead: a client may send its first query in the record that ends its login; no event tells the loop.
func TestEarlyBytesInTLSAreRead(t *testing.T) {
	d := database(t)
	w := startWithTLS(t, d, "")
	enter(t, w, d).Query("SELECT 1") // the parameters are known: a login asks no backend
	top := startTLS(t, dialRaw(t, w.Addr))
	c := newClient(t, top)
	startup := encode(t, &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": d.Server.Superuser(), "database": d.Name,
	}})
	c.SendBytes(append(startup, queryBytes("SELECT 'early'")...)) // one record
	c.Answer()                                                    // the login's
	if got := c.Answer().First(); got != "early" {
		t.Errorf("%q", got)
	}
}

// TestRenewedCertificateIsShown: a running weir takes a new certificate for new connections, keeps it when the next is broken,
// and lets those be that are there.
func TestRenewedCertificateIsShown(t *testing.T) {
	d := database(t)
	dir := tlsFolder(t)
	w := start(t, d, clientTLS(dir, "require", ""))
	shown := func() string {
		top := startTLS(t, dialRaw(t, w.Addr), &tls.Config{InsecureSkipVerify: true})
		defer func() { _ = top.Close() }()
		return top.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	w.secret = true
	before := enter(t, w, d)
	if got := shown(); got != "localhost" {
		t.Fatalf("%s is shown", got)
	}
	authority.Issue(testca.Subject{CN: "renewed", DNS: []string{"localhost"}}).Write(dir, "weir")
	eventually(t, func() string {
		if got := shown(); got != "renewed" {
			return got + " is shown"
		}
		return ""
	})
	eventuallyLogged(t, w, "level=INFO", "certificate files read again", "section=[client_tls]")
	if err := os.WriteFile(dir+"/weir.key", []byte("oops"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if got := shown(); got != "renewed" {
			t.Fatalf("%s is shown", got)
		}
		if !w.Log.Contains("level=WARN", "cannot be used; the former stay in use", "weir.key") {
			return "no warning"
		}
		return ""
	})
	before.Query("SELECT 1")
	enter(t, w, d).Query("SELECT 1")
}

// TestClientsAndServersSeeAnOrderlyEnd: close_notify comes behind the last message, from weir to its clients and to PostgreSQL, whose
// log would tell of a cut.
func TestClientsAndServersSeeAnOrderlyEnd(t *testing.T) {
	d := database(t)
	logged := len(d.Server.Log())
	w := startWithTLS(t, d, "[timeouts]\nclient_idle_timeout = \"1s\"\n")
	tap := &tapped{TCPConn: dialRaw(t, w.Addr)}
	c, err := tryDialOver(t, startTLS(t, tap, &tls.Config{
		RootCAs: authority.Pool(), ServerName: "localhost", MaxVersion: tls.VersionTLS12,
	}), d.Server.Superuser(), d.Name)
	if err != nil {
		t.Fatal(err)
	}
	c.Query("SELECT 1")
	c.expectLastError("57P05")
	if tap.last[0] != 21 { // crypto/tls itself takes a FIN behind a whole record for an end
		t.Errorf("the last record is of type %d, want an alert", tap.last[0])
	}
	w.Stop()
	if log := d.Server.Log()[logged:]; strings.Contains(log, "SSL error") || strings.Contains(log, "unexpected EOF") || strings.Contains(log, "could not receive") {
		t.Errorf("PostgreSQL's log: %s", log)
	}
}

// tapped remembers the last record that came, which TLS 1.2 leaves readable so far.
type tapped struct {
	*net.TCPConn
	buffer, last []byte
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.buffer = append(c.buffer, p[:n]...); string(c.buffer) == "S" { // the answer before TLS
		c.buffer = nil
	}
	for len(c.buffer) >= 5 {
		size := 5 + int(c.buffer[3])<<8 + int(c.buffer[4])
		if len(c.buffer) < size {
			break
		}
		c.last, c.buffer = c.buffer[:size], c.buffer[size:]
	}
	return n, err
}

// TestBoundLogins: with scram-sha-256-plus a login counts for the TLS connection that it came on, and for no other.
func TestBoundLogins(t *testing.T) {
	d := database(t)
	dir := tlsFolder(t)
	w := start(t, d, clientTLS(dir, "prefer", "")+"[auth]\ntype = \"scram-sha-256-plus\"\n[users."+d.Server.Superuser()+"]\npassword = \"right\"\n")
	for parameters, want := range map[string]string{
		"sslmode=require&channel_binding=require&password=right": "",
		"sslmode=require&channel_binding=require&password=wrong": "28P01",
		"sslmode=require&channel_binding=disable&password=right": "28000",
		"sslmode=disable&password=right":                         "28000",
	} {
		c, err := pgconn.Connect(context.Background(), "postgres://"+d.Server.Superuser()+"@"+w.Addr+"/"+d.Name+"?"+parameters)
		if err == nil {
			ask(t, c, "SELECT 1")
			_ = c.Close(context.Background())
		}
		if text := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(text, want) {
			t.Errorf("%s: %v, want %q", parameters, err, want)
		}
	}
}

// ciphers and curves bound what the handshake with clients may settle on.
func TestCiphersAndCurvesAreThoseOfTheConfiguration(t *testing.T) {
	d := database(t)
	dir := tlsFolder(t)
	w := start(t, d, clientTLS(dir, "require", "ciphers = \"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384\"\ncurves = \"secp384r1\"")+
		serverTLS(dir)+"curves = \"prime256v1\"\n") // PostgreSQL takes no other, unless told to
	conf := &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost", MaxVersion: tls.VersionTLS12}
	conn := startTLS(t, dialRaw(t, w.Addr), conf)
	s := conn.ConnectionState()
	if name := tls.CipherSuiteName(s.CipherSuite); !strings.HasSuffix(name, "_WITH_AES_256_GCM_SHA384") || s.CurveID != tls.CurveP384 {
		t.Errorf("the handshake has settled on %s and %s", name, s.CurveID)
	}
	c, err := tryDialOver(t, conn, d.Server.Superuser(), d.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "t" {
		t.Errorf("TLS to the server: %s", got)
	}
	conf = conf.Clone()
	conf.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	nc := dialRaw(t, w.Addr)
	if _, err := nc.Write(wire.AppendSSLRequest(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := tls.Client(nc, conf).Handshake(); err == nil {
		t.Error("a handshake with a cipher that is not in the list succeeds")
	}
}
