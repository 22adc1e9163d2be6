package proxy_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/internal/testca"
)

// sslParams are a URL's parameters for a client that shows the certificate of that name in dir, or none.
func sslParams(dir, certificate string) url.Values {
	q := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {filepath.Join(dir, "ca.crt")}}
	if certificate != "" {
		q.Set("sslcert", filepath.Join(dir, certificate+".crt"))
		q.Set("sslkey", filepath.Join(dir, certificate+".key"))
	}
	return q
}

// logInWithTLS returns whom the server sees, or the error.
func logInWithTLS(t *testing.T, w *weirUnderTest, d *pgserver.Database, user *url.Userinfo, q url.Values) string {
	t.Helper()
	_, port, _ := strings.Cut(w.Addr, ":")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	at := url.URL{Scheme: "postgres", User: user, Host: "localhost:" + port, Path: d.Name, RawQuery: q.Encode()}
	c, err := pgconn.Connect(ctx, at.String())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = c.Close(ctx) }()
	return ask(t, c, "SELECT session_user")
}

// TestCertificatesAreLogins: whom a certificate names comes in without a password, by the name that the configuration or a rule
// looks at, and nobody else.
func TestCertificatesAreLogins(t *testing.T) {
	d := database(t)
	user := d.Server.Superuser()
	dir := tlsFolder(t)
	authority.Issue(testca.Subject{CN: user, DNS: []string{user + ".example.org"}}).Write(dir, "user")
	authority.Issue(testca.Subject{CN: "somebody", DNS: []string{user}}).Write(dir, "san")
	testca.New("another authority").Issue(testca.Subject{CN: user}).Write(dir, "foreign")
	for name, text := range map[string]string{
		"pg_hba.conf":   "hostssl all all all cert map=m\n",
		"byname.conf":   "hostssl all all all cert clientname=DN map=dn\n",
		"both.conf":     "hostssl all all all scram-sha-256 clientcert=verify-full\n",
		"pg_ident.conf": "m somebody " + user + "\ndn CN=somebody " + user + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	byRules := func(file string) string {
		return fmt.Sprintf("type = \"hba\"\nhba_file = %q\nident_file = %q\n", filepath.Join(dir, file), filepath.Join(dir, "pg_ident.conf"))
	}
	const mismatch, required = "certificate authentication failed", "connection requires a valid client certificate"
	for name, c := range map[string]struct {
		auth string
		want map[string]string // by certificate; "" is that the user is in
	}{
		"common name":        {"type = \"cert\"\n", map[string]string{"user": "", "san": mismatch, "": required, "foreign": required}}, // Go does not even show it
		"alternative name":   {"type = \"cert\"\ncert_name = \"san\"\n", map[string]string{"user": mismatch, "san": "", "": required}},
		"map":                {byRules("pg_hba.conf"), map[string]string{"user": mismatch, "san": "", "": required}},
		"distinguished name": {byRules("byname.conf"), map[string]string{"user": mismatch, "san": ""}},
		"with a password":    {byRules("both.conf"), map[string]string{"user": "password authentication failed", "": required}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, d, clientTLS(dir, "prefer", fmt.Sprintf("ca_file = %q", dir+"/ca.crt"))+"[auth]\n"+c.auth)
			for certificate, want := range c.want {
				got := logInWithTLS(t, w, d, url.UserPassword(user, "none"), sslParams(dir, certificate))
				if want == "" && got != user || !strings.Contains(got, want) {
					t.Errorf("with certificate %q: %s, want %q", certificate, got, want)
				}
			}
		})
	}
}

// TestCertificatesInRulesOfAServedFile: PgBouncer takes cert in a line for all of TCP, and who comes without TLS has no certificate.
func TestCertificatesInRulesOfAServedFile(t *testing.T) {
	d := database(t)
	user, dir := d.Server.Superuser(), tlsFolder(t)
	authority.Issue(testca.Subject{CN: user}).Write(dir, "user")
	authority.Issue(testca.Subject{CN: "somebody"}).Write(dir, "other")
	rules := filepath.Join(dir, "hba.conf")
	if err := os.WriteFile(rules, []byte("host all all 127.0.0.1/32 cert\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := startFile(t, d, servedFile(d, fmt.Sprintf("auth_type = hba\nauth_file = users.txt\nauth_hba_file = %s\nclient_tls_sslmode = allow\n"+
		"client_tls_ca_file = %s/ca.crt\nclient_tls_cert_file = %[2]s/weir.crt\nclient_tls_key_file = %[2]s/weir.key\n", rules, dir)), fmt.Sprintf("%q \"\"\n", user))
	const refused = "certificate authentication failed"
	for certificate, want := range map[string]string{"user": user, "other": refused, "": refused} {
		if got := logInWithTLS(t, w, d, url.User(user), sslParams(dir, certificate)); !strings.Contains(got, want) {
			t.Errorf("with certificate %q: %s, want %q", certificate, got, want)
		}
	}
	if got := logInWithTLS(t, w, d, url.User(user), url.Values{"sslmode": {"disable"}}); !strings.Contains(got, refused) {
		t.Errorf("without TLS: %s", got)
	}
}

// TestServedFileKeepsItsCertificateUntilTheNextIsComplete: SET gives the files one after the other.
func TestServedFileKeepsItsCertificateUntilTheNextIsComplete(t *testing.T) {
	d := database(t)
	user, dir := d.Server.Superuser(), tlsFolder(t)
	w := startFile(t, d, servedFile(d, fmt.Sprintf("auth_type = trust\nauth_file = users.txt\nadmin_users = %s\nclient_tls_sslmode = allow\n"+
		"client_tls_cert_file = %[2]s/weir.crt\nclient_tls_key_file = %[2]s/weir.key\n", user, dir)), fmt.Sprintf("%q \"\"\n", user))
	for _, setting := range []string{"client_tls_cert_file", "client_tls_key_file"} {
		boss := w.console(t, user)
		ask(t, boss, "SET "+setting+" = ''")
		eventuallyLogged(t, w, "TLS setup failed", "belong together")
		if got := logInWithTLS(t, w, d, url.User(user), sslParams(dir, "")); got != user {
			t.Errorf("without %s: %s", setting, got)
		}
		ask(t, boss, "SET "+setting+" = '"+dir+"/weir."+map[string]string{"client_tls_cert_file": "crt", "client_tls_key_file": "key"}[setting]+"'")
		if got := logInWithTLS(t, w, d, url.User(user), sslParams(dir, "")); got != user {
			t.Errorf("with %s again: %s", setting, got)
		}
	}
}

// TestBoundLoginsArePassedOn: bound to TLS on both sides, with no password known to weir but that of auth_user.
func TestBoundLoginsArePassedOn(t *testing.T) {
	d := guarded(t, pgserver.Options{Settings: map[string]string{"ssl": "on"}, Files: serverFiles()})
	dir := tlsFolder(t)
	w := start(t, d, clientTLS(dir, "require", "")+serverTLS(dir)+strings.Replace(asksForUsers, `"scram-sha-256"`, `"scram-sha-256-plus"`, 1))
	q := sslParams(dir, "")
	q.Set("channel_binding", "require")
	for user, c := range map[string]struct{ password, want string }{
		"app": {"right", "app"}, "asker": {"ask", "asker"}, "expired": {"right", "28P01"}, "nobody": {"right", "28P01"},
	} {
		if got := logInWithTLS(t, w, d, url.UserPassword(user, c.password), q); got != c.want && !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", user, got, c.want)
		}
	}
}

// TestCertificatesSayWhenTheyExpire: those that weir shows, and a new one as soon as its file is there.
func TestCertificatesSayWhenTheyExpire(t *testing.T) {
	d := database(t)
	dir := tlsFolder(t)
	issue := func(name string, year int) {
		authority.Issue(testca.Subject{CN: "localhost", NotAfter: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}).Write(dir, name)
	}
	issue("weir", 2101)
	issue("app", 2102)
	w := start(t, d, clientTLS(dir, "prefer", "")+fmt.Sprintf("[server_tls]\ncert_file = %q\nkey_file = %q\n", dir+"/app.crt", dir+"/app.key"))
	expire := func(want string) string {
		var all []string
		for _, c := range w.Proxy.Snapshot().Certificates {
			all = append(all, fmt.Sprintf("%s %s %d", c.Section, filepath.Base(c.File), c.Until.Year()))
		}
		return differ(strings.Join(all, ", "), want)
	}
	if problem := expire("[client_tls] weir.crt 2101, [server_tls] app.crt 2102"); problem != "" {
		t.Error(problem)
	}
	issue("weir", 2103)
	eventually(t, func() string { return expire("[client_tls] weir.crt 2103, [server_tls] app.crt 2102") })
}
