package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// dsnParameters are what a DSN may say, by libpq's names.
var dsnParameters = append([]string{"host", "hostaddr", "port", "dbname", "user", "password"}, plainNames()...)

func plainNames() []string {
	var names []string
	for _, p := range plainParameters {
		names = append(names, p.name)
	}
	return names
}

// parseDSN reads a URL (postgres://user:password@host:port/dbname?parameter=value) or libpq's key=value form. Errors
// never repeat the DSN, which may hold a password. What it leaves out of host, port and password comes from libpq's
// environment.
func parseDSN(dsn string, env func(string) (string, bool)) (Database, error) {
	var given map[string]string
	var err error
	switch scheme, rest, isURL := strings.Cut(dsn, "://"); {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		given, err = parseURL(rest)
	case isURL && !strings.Contains(scheme, "="):
		err = errNotURL
	default:
		given, err = parseKeywords(dsn)
	}
	if err != nil {
		return Database{}, err
	}
	return dsnDatabase(given, env)
}

// dsnDatabase is the server that a DSN's parameters name.
func dsnDatabase(given map[string]string, env func(string) (string, bool)) (Database, error) {
	if err := checkParameters(given); err != nil {
		return Database{}, err
	}
	d, err := environmentDatabase(notSaid(given, env))
	if err != nil {
		return Database{}, err
	}
	for _, name := range []string{"host", "hostaddr"} { // the later one wins, as in libpq
		if v := given[name]; v != "" {
			d.Host = v
		}
	}
	if v := given["port"]; v != "" {
		if err := d.setPorts(v); err != nil {
			return Database{}, err
		}
	}
	if v := given["password"]; v != "" {
		if err := setSecret(&d.Password, v, "the password is"); err != nil {
			return Database{}, err
		}
	}
	d.DBName, d.User = given["dbname"], given["user"]
	if strings.ContainsRune(d.DBName+d.User, 0) {
		return Database{}, errors.New("dbname and user must not contain a NUL character")
	}
	for _, p := range plainParameters {
		if err := p.read(&d, given[p.name]); err != nil {
			return Database{}, fmt.Errorf("%s %w", p.name, err)
		}
	}
	return d, checkRootCert(d.ServerTLS)
}

// checkParameters refuses a DSN with others than weir knows.
func checkParameters(given map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(dsnParameters, name) {
			return fmt.Errorf("parameter %q of a DSN is not supported%s (known are %s)",
				name, DidYouMean(name, dsnParameters), strings.Join(dsnParameters, ", "))
		}
	}
	return nil
}

// notSaid is the environment without what a DSN says, so that a stray variable does no harm.
func notSaid(given map[string]string, env func(string) (string, bool)) func(string) (string, bool) {
	said := map[string]bool{
		"PGHOST": given["host"]+given["hostaddr"] != "", "PGHOSTADDR": given["host"]+given["hostaddr"] != "",
		"PGPORT": given["port"] != "", "PGPASSWORD": given["password"] != "",
	}
	for _, p := range plainParameters {
		said[p.variable] = given[p.name] != ""
	}
	return func(name string) (string, bool) {
		if said[name] {
			return "", false
		}
		return env(name)
	}
}

var errNotURL = errors.New("this is not a URL such as postgres://user:password@host:5432/dbname; " +
	"characters like / @ ? # % in it must be percent-encoded")

// parseURL takes what follows :// apart as libpq does, which allows what package url does not: a folder as the host, written
// %2Frun%2Fpostgresql, and a + that means itself.
func parseURL(rest string) (map[string]string, error) {
	given := map[string]string{}
	var bad error
	put := func(name, escaped string) {
		if escaped == "" {
			return
		}
		value, err := url.PathUnescape(escaped)
		if _, twice := given[name]; twice {
			bad = fmt.Errorf("parameter %q is given twice", name)
		}
		if err != nil {
			bad = fmt.Errorf("%s: a percent sign must be written %%25", name)
		}
		given[name] = value
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, dbname, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		put("user", user)
		put("password", password)
		authority = authority[at+1:]
	}
	host, port, err := splitHosts(authority)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(dbname, "/@") { // probably the end of a password with a slash in it
		return nil, errNotURL
	}
	put("host", host)
	put("port", port)
	put("dbname", dbname)
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			put(name, value)
		} else if pair != "" {
			return nil, errors.New("want name=value after the ? of a URL")
		}
	}
	return given, bad
}

// splitHosts takes several of what splitHostPort takes, with commas between them.
func splitHosts(authority string) (hosts, ports string, err error) {
	var host, port []string
	for one := range strings.SplitSeq(authority, ",") {
		h, p, err := splitHostPort(one)
		if err != nil {
			return "", "", err
		}
		host, port = append(host, h), append(port, p)
	}
	hosts, ports = strings.Join(host, ","), strings.Join(port, ",")
	if strings.Trim(ports, ",") == "" {
		ports = ""
	}
	return hosts, ports, nil
}

// splitHostPort takes host, host:port, [address] or [address]:port. It does not repeat what it does not understand:
// that may be the end of a password.
func splitHostPort(authority string) (host, port string, err error) {
	switch inner, ok := strings.CutPrefix(authority, "["); {
	case ok:
		address, after, closed := strings.Cut(inner, "]")
		if !closed || after != "" && after[0] != ':' {
			return "", "", errNotURL
		}
		return address, strings.TrimPrefix(after, ":"), nil
	}
	host, port, _ = strings.Cut(authority, ":")
	if strings.Trim(port, "0123456789") != "" {
		return "", "", errNotURL
	}
	return host, port, nil
}

// parseKeywords reads "host=/tmp port=5432 password='it\'s'": blanks around = are allowed, quotes enclose blanks, a
// backslash takes the next character as it is (libpq manual, "Keyword/Value Connection Strings").
func parseKeywords(dsn string) (map[string]string, error) {
	const want = "want a URL such as postgres://host/dbname, or pairs such as host=localhost port=5432"
	given := map[string]string{}
	rest := strings.TrimSpace(dsn)
	if rest == "" {
		return nil, errors.New(want)
	}
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n'\\") {
			return nil, errors.New(want)
		}
		value, after, err := keywordValue(strings.TrimLeft(after, " \t\r\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, twice := given[name]; twice {
			return nil, fmt.Errorf("parameter %q is given twice", name)
		}
		given[name] = value
		rest = strings.TrimSpace(after)
	}
	return given, nil
}

// keywordValue takes one value off text.
func keywordValue(text string) (value, rest string, err error) {
	var b strings.Builder
	quoted := strings.HasPrefix(text, "'")
	i := 0
	if quoted {
		i = 1
	}
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quoted && c == '\'':
			return b.String(), text[i+1:], nil
		case !quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return b.String(), text[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("a quoted value does not end")
	}
	return b.String(), "", nil
}
