package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
)

// A password that pencil and paper would not need to escape, and the verifier that PostgreSQL 15 stores for it.
const (
	rightPassword = "pencil"
	pencilSCRAM   = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

// storedForms are the forms in which the user's password may stand in the configuration.
func storedForms(user string) map[string]string {
	return map[string]string{"clear": rightPassword, "md5": md5Hash(rightPassword, user), "scram": pencilSCRAM}
}

// driver connects, runs one query, and returns "" or the SQLSTATE (or text) of the refusal.
type driver struct {
	name    string
	connect func(t *testing.T, l *listener, user, password string) string
}

var drivers = []driver{{"pgconn", connectPgconn}, {"lib/pq", connectPQ}, {"psql", connectPsql}}

func connectPgconn(t *testing.T, l *listener, user, password string) string {
	t.Helper()
	cfg, err := pgconn.ParseConfig("postgres://" + l.addr + "/shop?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password = user, password
	c, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) {
			return pgErr.Code
		}
		return err.Error()
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(context.Background(), "select").ReadAll(); err != nil {
		return err.Error()
	}
	return ""
}

func connectPQ(t *testing.T, l *listener, user, password string) string {
	t.Helper()
	db, err := sql.Open("postgres", fmt.Sprintf("host=127.0.0.1 port=%s dbname=shop user=%s password='%s' sslmode=disable", l.port(), user, password))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec("select")
	var pqErr *pq.Error
	if errors.As(err, &pqErr) {
		return string(pqErr.Code)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func connectPsql(t *testing.T, l *listener, user, password string) string {
	t.Helper()
	cmd := exec.Command("psql", "-X", "-w", "-h", "127.0.0.1", "-p", l.port(), "-d", "shop", "-U", user, "-c", "select")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCLIENTENCODING=UTF8", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	if strings.Contains(string(out), `FATAL:  password authentication failed for user "`+user+`"`) {
		return "28P01"
	}
	return string(out)
}

// needPsql skips a test that runs libpq's program many times.
func needPsql(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL's psql")
	}
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("no psql in PATH")
	}
}

// TestDriversLogIn is the matrix of drivers, methods and stored forms: the right password is let in, a wrong one and an
// unknown user are not, and where the form cannot serve the method nobody is.
func TestDriversLogIn(t *testing.T) {
	needPsql(t)
	for _, method := range []Method{MethodSCRAM, MethodMD5, MethodPassword} {
		for formName, text := range storedForms("app") {
			cannot := method == MethodSCRAM && formName == "md5"
			t.Run(method.String()+" from "+formName, func(t *testing.T) {
				l := listen(t, Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": text})})
				for _, d := range drivers {
					if got := d.connect(t, l, "app", rightPassword); (got == "") == cannot {
						t.Errorf("%s, right password: %q", d.name, got)
					}
					checkOutcome(t, d.name, l.outcome(), cannot, WrongPassword)
					if got := d.connect(t, l, "app", "wrong"); got != "28P01" {
						t.Errorf("%s, wrong password: %q", d.name, got)
					}
					checkOutcome(t, d.name, l.outcome(), true, WrongPassword)
					if got := d.connect(t, l, "nobody", rightPassword); got != "28P01" {
						t.Errorf("%s, unknown user: %q", d.name, got)
					}
					checkOutcome(t, d.name, l.outcome(), true, NoSuchUser)
				}
			})
		}
	}
}

func checkOutcome(t *testing.T, driver string, o outcome, fails bool, reason Reason) {
	t.Helper()
	switch {
	case !fails && o.f != nil:
		t.Errorf("%s: Serve: %v", driver, o.f)
	case fails && (o.f == nil || o.f.Reason != reason):
		t.Errorf("%s: Serve: %v, want %v", driver, o.f, reason)
	case !fails && (o.res.User != "app" || o.res.Database != "shop"):
		t.Errorf("%s: logged in as %q to %q", driver, o.res.User, o.res.Database)
	}
}

func TestTrustedDriversNeedNoPassword(t *testing.T) {
	l := listen(t, Options{Method: MethodTrust})
	for _, d := range drivers {
		if got := d.connect(t, l, "app", ""); got != "" {
			t.Errorf("%s: %s", d.name, got)
		}
		checkOutcome(t, d.name, l.outcome(), false, 0)
	}
}

func TestUserWithoutPasswordIsNeverLetIn(t *testing.T) {
	for _, method := range []Method{MethodSCRAM, MethodMD5, MethodPassword} {
		l := listen(t, Options{Method: method, Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": ""})})
		for _, password := range []string{"", "x"} {
			if got := connectPgconn(t, l, "app", password); got != "28P01" {
				t.Errorf("%v, password %q: %q", method, password, got)
			}
			l.outcome()
		}
	}
}

// TestDriverGetsProtocol32 lets pgx ask for it.
func TestDriverGetsProtocol32(t *testing.T) {
	l := listen(t, Options{Method: MethodTrust})
	cfg, err := pgconn.ParseConfig("postgres://app@" + l.addr + "/shop?sslmode=disable&max_protocol_version=3.2")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if o := l.outcome(); o.f != nil || o.res.Minor != 2 {
		t.Errorf("%+v, %v", o.res, o.f)
	}
}

// TestSASLprepIsLibpqs has libpq as the oracle: it prepares the password on its side, weir on the other, and the login
// succeeds where both agree.
func TestSASLprepIsLibpqs(t *testing.T) {
	needPsql(t)
	for _, c := range []struct {
		name, stored, sent string
		want               bool
	}{
		{"ASCII", "pencil", "pencil", true},
		{"no-break space is a space", "a\u00a0b", "a b", true},
		{"soft hyphen is nothing", "IX", "I\u00adX", true},
		{"roman nine is I and X", "\u2168", "IX", true},
		{"composed and decomposed", "caf\u00e9", "cafe\u0301", true},
		{"case counts", "Caf\u00e9", "caf\u00e9", false},
		{"with what Unicode 3.2 lacked nothing is prepared", "\U0001F511\u00a0", "\U0001F511 ", false},
		{"with what Unicode 3.2 lacked the bytes count", "\U0001F511\u00a0", "\U0001F511\u00a0", true},
		{"prohibited character", "\u0627a\u2028", "\u0627a\u2028", true},
		{"mixed direction is not prepared", "\u0627\u00a0a", "\u0627 a", false},
		{"mixed direction, same bytes", "\u0627\u00a0a", "\u0627\u00a0a", true},
		{"right to left is prepared", "\u0627\u00a0\u0628", "\u0627 \u0628", true},
		{"not UTF-8", "a\xff\u00a0", "a\xff\u00a0", true},
		{"nothing is left", "\u00ad", "\u00ad", true},
		{"ASCII controls", "a\x07", "a\x07", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := listen(t, Options{Verifiers: usualVerifiers(nil), Lookup: users(map[string]string{"app": c.stored})})
			if got := connectPsql(t, l, "app", c.sent); (got == "") != c.want {
				t.Errorf("%q for %q: %q", c.sent, c.stored, got)
			}
			l.outcome()
		})
	}
}

// TestDriverThatPrefersTLSGoesOnWithout needs 'N' to be understood; psql, above, goes on on the same connection, pgx on a new
// one.
func TestDriverThatPrefersTLSGoesOnWithout(t *testing.T) {
	l := listen(t, Options{Method: MethodTrust})
	c, err := pgconn.Connect(context.Background(), "postgres://app@"+l.addr+"/shop?sslmode=prefer")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	// The two logins run side by side, so either may end first.
	asked, plain := l.outcome(), l.outcome()
	if asked.f == nil {
		asked, plain = plain, asked
	}
	if asked.f == nil || asked.f.Reason != Gone {
		t.Errorf("the connection that asked for TLS: %+v, %v", asked.res, asked.f)
	}
	if plain.f != nil {
		t.Error(plain.f)
	}
}
