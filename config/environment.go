package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FromEnvironment is the Config without a file. weir then listens on loopback only and trusts its clients, and leads
// every database name to one server.
//
// If dsn is empty, libpq's environment names the server (PGHOSTADDR, PGHOST, PGPORT), otherwise localhost:5432. As
// in libpq, a variable is only a default for what is not said: the client says its user and database, so PGUSER and
// PGDATABASE change nothing, and PGPASSWORD is the password of whichever user logs in. A DSN is explicit: see With.
func FromEnvironment(env func(string) (string, bool), dsn string) (*Config, error) {
	c := Default()
	c.Auth.Type = AuthTrust
	if dsn != "" {
		return c.With(Flags{To: dsn}, env)
	}
	d, err := environmentDatabase(env)
	if err != nil {
		return nil, err
	}
	c.Databases[AnyDatabase] = d
	var problems Problems
	if err := checkRootCert(d.ServerTLS); err != nil {
		problems.add("environment", 0, "%v", err)
		return nil, problems
	}
	validate(c, func(_ []string, format string, args ...any) { problems.add("environment", 0, format, args...) })
	return c, problems.err()
}

// environmentDatabase is the server that libpq's environment names. What weir would have to ignore and a user relies
// on is an error: another server or a connection without TLS is not what was asked for.
func environmentDatabase(env func(string) (string, bool)) (Database, error) {
	get := func(name string) string {
		if v, ok := env(name); ok {
			return v
		}
		return ""
	}
	var problems Problems
	wrong := func(name string, err error) { problems.add("environment", 0, "%s: %v", name, err) }
	d := Database{Host: "localhost", Port: defaultPort}
	for _, name := range []string{"PGHOST", "PGHOSTADDR"} { // the later one wins, as in libpq
		if v := get(name); v != "" {
			d.Host = v
			if err := checkHosts(d); err != nil {
				wrong(name, err)
			}
		}
	}
	if v := get("PGPORT"); v != "" {
		if err := d.setPorts(v); err != nil {
			wrong("PGPORT", err)
		}
	}
	if v := get("PGPASSWORD"); v != "" {
		if err := setSecret(&d.Password, v, "is"); err != nil {
			wrong("PGPASSWORD", err)
		}
	}
	for _, p := range plainParameters {
		if err := p.read(&d, get(p.variable)); err != nil {
			wrong(p.variable, err)
		}
	}
	for _, name := range []string{"PGSERVICE", "PGSERVICEFILE"} {
		if get(name) != "" {
			wrong(name, errors.New("service files are not supported; name the server with PGHOST and PGPORT"))
		}
	}
	return d, problems.err()
}

// Flags are what the command line may say in place of the file.
type Flags struct {
	To       string   // a DSN; replaces [databases."*"]
	Listen   []string // replaces [listen] addresses
	HTTP     *string  // replaces [http] address; nil: not given, empty: off
	LogLevel string   // replaces [log] level
}

// With returns a copy of c with what the command line says. What a DSN names is fixed for all clients, whatever they
// ask for: host, port, user with password, and database; what it leaves out is taken from libpq's environment (host
// and port) or from the client (user and database).
func (c *Config) With(f Flags, env func(string) (string, bool)) (*Config, error) {
	changed := *c
	changed.Databases = make(map[string]Database, len(c.Databases)+1)
	for name, d := range c.Databases {
		changed.Databases[name] = d
	}
	var problems Problems
	flagOf := func(path []string) string {
		switch strings.Join(path[:min(2, len(path))], ".") {
		case "listen.addresses":
			return "--listen"
		case "http.address":
			return "--http"
		case "databases." + AnyDatabase:
			return "--to"
		}
		return "configuration"
	}
	if f.To != "" {
		d, err := parseDSN(f.To, env)
		if err != nil {
			problems.add("--to", 0, "%v", err)
			d.Host = "localhost" // one message is enough
		}
		changed.Databases[AnyDatabase] = d
	}
	if len(f.Listen) > 0 {
		changed.Listen.Addresses = f.Listen
	}
	if f.HTTP != nil {
		changed.HTTP.Address = *f.HTTP
	}
	if f.LogLevel != "" {
		if err := readWord(&changed.Log.Level, f.LogLevel); err != nil {
			problems.add("--log-level", 0, "%v", err)
		}
	}
	validate(&changed, func(path []string, format string, args ...any) { problems.add(flagOf(path), 0, format, args...) })
	if err := problems.err(); err != nil {
		return nil, err
	}
	return &changed, nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("want a port from 1 to 65535 (got %q)", text)
	}
	return int(n), nil
}

// plainParameter is one of libpq's that is a setting of a database's here: as a DSN and the environment call it, and its place. Those that
// name server and user are put together from several, and stand apart.
type plainParameter struct {
	name, variable string
	place          func(*Database) any
}

var plainParameters = []plainParameter{
	{"target_session_attrs", "PGTARGETSESSIONATTRS", func(d *Database) any { return &d.TargetSession }},
	{"load_balance_hosts", "PGLOADBALANCEHOSTS", func(d *Database) any { return &d.LoadBalance }},
	{"sslmode", "PGSSLMODE", func(d *Database) any { return &d.ServerTLS.SSLMode }},
	{"sslcert", "PGSSLCERT", func(d *Database) any { return &d.ServerTLS.CertFile }},
	{"sslkey", "PGSSLKEY", func(d *Database) any { return &d.ServerTLS.KeyFile }},
	{"sslrootcert", "PGSSLROOTCERT", func(d *Database) any { return &d.ServerTLS.CAFile }},
	{"ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", func(d *Database) any { return &d.ServerTLS.MinVersion }},
}

// checkRootCert tells those who know libpq's names what is missing, and that weir does not look for it in their home folder.
func checkRootCert(o TLSOverride) error {
	if o.SSLMode != nil && *o.SSLMode >= SSLVerifyCA && o.CAFile == nil {
		return fmt.Errorf(`sslmode %q needs sslrootcert (PGSSLROOTCERT), a file or "system"; ~/.postgresql is not read`, *o.SSLMode)
	}
	return nil
}

// read stores a value, if there is one. Files are named from the folder that weir runs in.
func (p plainParameter) read(d *Database, text string) error {
	if text == "" {
		return nil
	}
	_, err := new(reader).read(nil, p.place(d), text)
	return err
}
