package hba

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

// withTLS lets the server take lines about certificates.
func withTLS(t *testing.T, server *pgserver.Server) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := os.Stat(server.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"server.crt": {Type: "CERTIFICATE", Bytes: cert}, "ca.crt": {Type: "CERTIFICATE", Bytes: cert}, "server.key": {Type: "PRIVATE KEY", Bytes: der},
	} {
		file := filepath.Join(server.DataDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, int(owner.Sys().(*syscall.Stat_t).Uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Exec(context.Background(), "postgres", "alter system set ssl_ca_file = 'ca.crt'", "alter system set ssl = on"); err != nil {
		t.Fatal(err)
	}
	if err := server.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// usesTLS asks until the server has taken its new settings. The postmaster reads pg_hba.conf anew after it has told its backends of them,
// and opens its certificate after that (process_pm_reload_request in src/backend/postmaster/postmaster.c), so that only a login over TLS
// shows that it does not look at the file any more, which the test is about to fill with other lines.
func usesTLS(t *testing.T, server *pgserver.Server) bool {
	t.Helper()
	for range 1000 {
		conn, err := pgx.Connect(context.Background(), strings.Replace(server.DSN("postgres"), "sslmode=disable", "sslmode=require", 1))
		if err == nil {
			_ = conn.Close(context.Background())
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func connect(t *testing.T) (*pgserver.Server, *pgx.Conn) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	d := pgserver.ForTest(t)
	c, err := pgx.Connect(context.Background(), d.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return d.Server, c
}

// hbaLines are read by PostgreSQL and by us. Both take them and understand the same, or both refuse them, unless the line
// says how we differ. PostgreSQL knows some from a later version on only.
var hbaLines = []struct {
	line    string
	since   int    // major version of PostgreSQL that has it
	differs string // why PostgreSQL takes what we refuse, or the reverse
}{
	{line: "local all all trust"},
	{line: "local   all\tall\ttrust # comment"},
	{line: `local "all" "all" reject`},
	{line: `local db,"d b",/x all md5`},
	{line: `local "a""b" "q" password`},
	{line: `local sameuser,replication,db all peer`},
	{line: `local all "/^a,b$" trust`},
	{line: `host all all 127.0.0.1/32 scram-sha-256`},
	{line: `host all all 127.0.0.1 255.255.255.255 scram-sha-256`},
	{line: `host all all 10.0.3.0 255.0.255.0 trust`},
	{line: `host all all ::1/128 md5`},
	{line: `host all all fe80::1 ffff:ffff:: md5`},
	{line: `host all all 10.1.2.3/8 md5`},
	{line: `host all all all md5`},
	{line: `host all all samehost md5`},
	{line: `host all all samenet md5`},
	{line: `host all all 0.0.0.0/0 reject`},
	{line: `hostnossl all all 0.0.0.0/0 md5`},
	{line: `hostssl all all 0.0.0.0/0 md5 clientcert=verify-ca`},
	{line: `hostssl all all 0.0.0.0/0 cert`},
	{line: `hostssl all all 0.0.0.0/0 cert clientname=DN`},
	{line: `local all all ident`},
	{line: "local all \\\nall trust"},

	{line: `local`},
	{line: `local all`},
	{line: `local all all`},
	{line: `local all all nonsense`},
	{line: `local all all trust x`},
	{line: `local all all trust map=m`},
	{line: `local all all trust clientcert=verify-ca`},
	{line: `locally all all trust`},
	{line: `local,host all all trust`},
	{line: `local all all trust,md5`},
	{line: `host all all 127.0.0.1 trust`},
	{line: `host all all 127.0.0.1/33 trust`},
	{line: `host all all 127.0.0.1/x trust`},
	{line: `host all all 127.0.0.1/ trust`},
	{line: `host all all 127.0.0.1/-1 trust`},
	{line: `host all all ::1/129 trust`},
	{line: `host all all 127.0.0.1 ::1 trust`},
	{line: `host all all 127.0.0.1/32,10.0.0.1/32 trust`},
	{line: `host all all`},
	{line: `host all all 127.0.0.1/32`},
	{line: `host all all 127.0.0.1/32 peer`},
	{line: `host all all 127.0.0.1/32 cert`},
	{line: `hostssl all all 127.0.0.1/32 cert clientcert=verify-ca`},
	{line: `hostssl all all 127.0.0.1/32 md5 clientcert=1`},
	{line: `hostssl all all 127.0.0.1/32 md5 clientname=SAN`},
	{line: `local all /( trust`, since: 16},
	{line: `local /* all trust`, since: 16},

	{line: `local samerole all trust`, differs: "weir knows no roles"},
	{line: `local all +admins trust`, differs: "weir knows no roles"},
	{line: `host all all example.org md5`, differs: "no host names"},
	{line: `host all all 127.0.0.1/32 ident`, differs: "no such method"},
	{line: `host all all ::ffff:1.2.3.4/128 md5`, differs: "it never matches"},
	{line: `local all all peer map=nosuch`, differs: "PostgreSQL finds no match in a map that is not there, at each login"},
	{line: `local all all "trust`, differs: "PostgreSQL lets a quote end with the line"},
	{line: `hostnogssenc all all 0.0.0.0/0 md5`, differs: "GSSAPI is never there, so it is host"},
	{line: `local all , app trust`, differs: "a comma behind a blank goes on with the list, as in PgBouncer"},
	{line: `local all /(?=x) trust`, since: 16, differs: "RE2 has no lookahead"},
}

// TestRulesAreReadAsPostgresReadsThem compares each line with the server's own view pg_hba_file_rules, which reads the file
// anew at each look.
func TestRulesAreReadAsPostgresReadsThem(t *testing.T) {
	server, conn := connect(t)
	withTLS(t, server)
	if !usesTLS(t, server) {
		t.Fatal("the server does not take up TLS")
	}
	file := filepath.Join(server.DataDir(), "pg_hba.conf")
	former, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(file, former, 0o600); err != nil {
			t.Error(err)
		}
	})
	version := majorVersion(t, conn)
	for _, c := range hbaLines {
		if c.since > version {
			continue
		}
		t.Run(c.line, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(c.line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			theirs, theirError := postgresRule(t, conn)
			rules, problems := Parse("hba.conf", memory{"hba.conf": c.line + "\n"}, nil)
			ours, ourError := "", ""
			if len(problems) > 0 {
				ourError = problems[0].Text
			} else {
				ours = asPostgres(&rules.rules[0])
			}
			switch {
			case c.differs != "":
				if (theirError == "") == (ourError == "") && ours == theirs {
					t.Errorf("it is said to differ (%s), and does not: %s", c.differs, ours)
				}
			case (theirError == "") != (ourError == ""):
				t.Errorf("PostgreSQL: %s %q, we: %s %q", theirs, theirError, ours, ourError)
			case ours != theirs:
				t.Errorf("PostgreSQL: %s, we: %s", theirs, ours)
			}
		})
	}
}

func majorVersion(t *testing.T, conn *pgx.Conn) int {
	t.Helper()
	var text string
	if err := conn.QueryRow(context.Background(), "show server_version_num").Scan(&text); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n / 10000
}

// postgresRule is the only line of the server's file.
func postgresRule(t *testing.T, conn *pgx.Conn) (rule, problem string) {
	t.Helper()
	var kind, address, mask, method, err *string
	var databases, users, options []string
	row := conn.QueryRow(context.Background(),
		"select type, database, user_name, address, netmask, auth_method, options, error from pg_hba_file_rules")
	if e := row.Scan(&kind, &databases, &users, &address, &mask, &method, &options, &err); e != nil {
		t.Fatal(e)
	}
	switch {
	case err != nil:
		return "", *err
	case kind == nil:
		return "", "refused without a word" // clientcert=1
	}
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	slices.Sort(options)
	return fmt.Sprintf("%s %q %q %s %s %s %q", *kind, databases, users, text(address), text(mask), *method, options), ""
}

// asPostgres is how the view shows a rule.
func asPostgres(r *Rule) string {
	names := func(patterns []pattern) []string {
		list := []string{}
		for _, p := range patterns {
			switch {
			case p.keyword != "":
				list = append(list, p.keyword)
			case p.re != nil:
				list = append(list, "/"+strings.TrimPrefix(p.re.String(), "(?s)"))
			default:
				list = append(list, p.name)
			}
		}
		return list
	}
	address, mask := "-", "-"
	if r.conn != connLocal {
		address, mask, _ = strings.Cut(r.address.text()+" -", " ")
		mask, _, _ = strings.Cut(mask, " ")
	}
	var options []string
	switch {
	case r.ClientCert == CertVerifyCA:
		options = append(options, "clientcert=verify-ca")
	case r.ClientCert == CertVerifyFull:
		options = append(options, "clientcert=verify-full")
	}
	kind := connNames[r.conn]
	return fmt.Sprintf("%s %q %q %s %s %s %q", kind, names(r.databases), names(r.users), address, mask, r.Method, options)
}

// TestExpressionsMatchAsInPostgres compares matches and what the first group takes with those of the server.
func TestExpressionsMatchAsInPostgres(t *testing.T) {
	_, conn := connect(t)
	names := []string{"", "a", "ab", "abc", "a.b", "a b", "A", "tenant_42", "tenant_x", "x-y", "ä", "a\nb", "42", "a@example.org", "]", "_"}
	for _, expression := range []string{
		"", "^a", "b$", "^a.b$", `^a\.b$`, "^(a|ab)", "^(a|ab)(c|bcd)?", "^tenant_(.*)$", `^tenant_\d+$`, `\w`, `\W`, `\s`, `\S`, `\D`,
		"[[:alpha:]]+", "[^[:alnum:]_]", "[]]", "[^]a]", "[.]", `[\d]`, "(?i)^a$", "(?:a)(b)", "^(.*)@example[.]org$", "a{2}", "a{1,2}", "x*?", "(a)?b",
		`\Aab`, "^(a*)(a|b)*", "a||b", "()",
	} {
		re, err := compile(expression)
		if err != nil {
			t.Errorf("%q: %v", expression, err)
			continue
		}
		for _, name := range names {
			ours := re.FindStringSubmatch(name)
			var matches bool
			var groups []*string
			if err := conn.QueryRow(context.Background(), `select $1::text collate "C" ~ $2, regexp_match($1 collate "C", $2)`, name, expression).
				Scan(&matches, &groups); err != nil {
				t.Errorf("%q: PostgreSQL does not take it: %v", expression, err)
				break
			}
			if matches != (ours != nil) {
				t.Errorf("%q matches %q: %v, in PostgreSQL %v", expression, name, ours != nil, matches)
			}
			if matches && len(ours) > 1 && groups[0] != nil && *groups[0] != ours[1] {
				t.Errorf("%q in %q: first group %q, in PostgreSQL %q", expression, name, ours[1], *groups[0])
			}
		}
	}
}
