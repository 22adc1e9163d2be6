package config

import (
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"weir/config/hba"
)

// DefaultAuthQuery reads what pg_authid has for a user that may log in and whose password has not expired. Every name in it
// says its schema, so that no search_path of whomever can lead it elsewhere.
const DefaultAuthQuery = "SELECT rolname, CASE WHEN rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.now() THEN NULL ELSE rolpassword END " +
	"FROM pg_catalog.pg_authid WHERE rolname OPERATOR(pg_catalog.=) $1::pg_catalog.text AND rolcanlogin"

// NamesOthers reports whether an auth_query may name anything outside of pg_catalog. Its session has no other schema in its search_path,
// so such a name has a dot.
func NamesOthers(query string) bool {
	return strings.Contains(strings.ReplaceAll(query, "pg_catalog.", ""), ".")
}

// Auth says how clients prove who they are.
type Auth struct {
	Type      AuthType
	CertName  CertName // what of a client's certificate is the user's name
	AuthFile  Path     // PgBouncer's userlist.txt; its users are in Config.Accounts
	HBAFile   Path     // pg_hba.conf; its rules are Config.HBA
	IdentFile Path     // pg_ident.conf; its maps are Config.Ident
	SaltFile  Path     // its text is Config.SaltSecret

	SCRAMIterations int // for users whose password is stored in clear text

	// Users that neither [users] nor AuthFile knows are looked up in a database, where AuthUser is set.
	AuthUser          string
	AuthQuery         string   // $1 is the user's name; gives the name and what is stored as its password
	AuthDBName        string   // by the name that clients use; empty: the client's own
	AuthQueryLifetime Duration // for how long an answer is used; 0: for those who ask at the same time
}

// Account returns what is stored for a user: what [users] says, or else the line of auth_file. False: neither knows it. A
// Secret that is not set is a user without a password.
func (c *Config) Account(user string) (Secret, bool) {
	if own := c.Users[user].Password; own.IsSet() {
		return own, true
	}
	s, ok := c.Accounts[user]
	return s, ok
}

// loadAuth reads the files that [auth] names. It is done whatever type says, so that what is wrong in them shows before it is
// needed.
func (p *parser) loadAuth() {
	a := p.config.Auth
	p.config.Accounts = map[string]Secret{}
	for _, name := range []Path{a.AuthFile, a.SaltFile} {
		if name != "" {
			p.reader.files = append(p.reader.files, string(name))
		}
	}
	if a.AuthFile != "" {
		text, err := readBounded(string(a.AuthFile), userlistMax)
		if err != nil {
			p.problem([]string{"auth", "auth_file"}, "auth_file cannot be read: %v", err)
		} else {
			p.config.Accounts = readUserlist(string(a.AuthFile), string(text), p.inFile("auth_file"))
		}
	}
	if a.SaltFile != "" {
		secret, err := readSaltFile(string(a.SaltFile))
		if err != nil {
			p.problem([]string{"auth", "salt_file"}, "salt_file %v", err)
		}
		p.config.SaltSecret = secret
	}
	p.loadRules()
}

// loadRules reads hba_file and ident_file.
func (p *parser) loadRules() {
	a, files := p.config.Auth, &diskFiles{seen: map[string]bool{}}
	if a.IdentFile != "" {
		var problems []hba.Problem
		p.config.Ident, problems = hba.ParseMaps(string(a.IdentFile), files)
		p.hbaProblems("ident_file", problems)
	}
	if a.HBAFile != "" {
		var problems []hba.Problem
		read := hba.Parse
		if p.config.PgBouncer {
			read = hba.ParsePgBouncer
		}
		p.config.HBA, problems = read(string(a.HBAFile), files, p.config.Ident)
		p.hbaProblems("hba_file", problems)
	}
	p.reader.files = append(p.reader.files, files.names...)
}

// Complete reads the files that [auth] names into a Config that was made otherwise than by Load or Parse, and checks all of it. where
// gives the place of a setting, as Problem has it. The error is Problems.
func (c *Config) Complete(where func(path []string) string) error {
	p := &parser{config: c, layout: &layout{}, where: where}
	p.loadAuth()
	validate(c, p.problem)
	return p.problems.err()
}

// inFile reports problems of a file that a setting names: among those of the configuration they stand at the setting.
func (p *parser) inFile(setting string) func(where, format string, args ...any) {
	offset := p.layout.key([]string{"auth", setting})
	return func(where, format string, args ...any) { p.problems.add(where, offset, format, args...) }
}

func (p *parser) hbaProblems(setting string, problems []hba.Problem) {
	report := p.inFile(setting)
	for _, problem := range problems {
		if problem.Where == "" {
			p.problem([]string{"auth", setting}, "%s: %s", setting, problem.Text)
			continue
		}
		report(problem.Where, "%s", problem.Text)
	}
}

// hbaFileMax bounds a file of rules, maps or names, in bytes.
const hbaFileMax = 4 << 20

// diskFiles are those of this machine. It keeps the names of what was asked for, files that are not there included: whether they are decides,
// too.
type diskFiles struct {
	names []string
	seen  map[string]bool
}

func (d *diskFiles) note(name string) {
	if !d.seen[name] {
		d.seen[name] = true
		d.names = append(d.names, name)
	}
}

func (d *diskFiles) ReadFile(name string) ([]byte, error) {
	d.note(name)
	return readBounded(name, hbaFileMax)
}

func (d *diskFiles) ReadDir(name string) ([]string, error) {
	d.note(name)
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type()&fs.ModeDir == 0 {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// checkAuth checks what goes together.
func checkAuth(c *Config, report func([]string, string, ...any)) {
	at := func(setting string) []string { return []string{"auth", setting} }
	switch {
	case c.Auth.Type == AuthSCRAMPlus && !c.offersTLS() && len(c.Listen.Addresses) > 0:
		report(at("type"), "type %q needs TLS: want cert_file and key_file in [client_tls]", c.Auth.Type)
	case c.Auth.Type == AuthCert && !c.verifiesClients():
		report(at("type"), "type %q needs ca_file in [client_tls], the authorities that issue the clients' certificates", c.Auth.Type)
	case c.Auth.Type == AuthHBA && c.Auth.HBAFile == "":
		report(at("type"), `type "hba" needs hba_file, the rules`)
	}
	general := c.effective(Override{}, Override{})
	checkAuthQuery(c, general, PoolSettings{}, at, report)
	for name := range c.Databases {
		here := func(setting string) []string { return []string{"databases", name, setting} }
		checkAuthQuery(c, c.PoolSettings(name, ""), general, here, report)
	}
}

// offersTLS tells whether clients can have TLS.
func (c *Config) offersTLS() bool {
	certified, wanted := c.ClientTLS.CertFile != "", c.ClientTLS.SSLMode != SSLDisable
	for name := range c.Databases {
		t := c.ClientTLSOf(name)
		certified, wanted = certified || t.CertFile != "", wanted || t.SSLMode != SSLDisable
	}
	return certified && wanted
}

// verifiesClients tells whether clients of some database can show a certificate that counts.
func (c *Config) verifiesClients() bool {
	for name := range c.Databases {
		if c.ClientTLSOf(name).CAFile != "" {
			return true
		}
	}
	return c.ClientTLS.CAFile != ""
}

// checkAuthQuery checks a place where a query is configured, save for what has been said of all.
func checkAuthQuery(c *Config, s, general PoolSettings, at func(setting string) []string, report func([]string, string, ...any)) {
	told := general.AuthUser != ""
	if s.AuthUser == "" {
		return
	}
	if err := checkUserName(s.AuthUser); err != nil && !(told && s.AuthUser == general.AuthUser) {
		report(at("auth_user"), "auth_user %v", err)
	}
	if c.PgBouncer { // which finds out at logins
		return
	}
	if !strings.Contains(s.AuthQuery, "$1") && !(told && s.AuthQuery == general.AuthQuery) {
		report(at("auth_query"), "auth_query must ask for $1, the user's name")
	}
	if s.AuthDBName == "" || told && s.AuthDBName == general.AuthDBName {
		return
	}
	if _, ok := c.Database(s.AuthDBName); !ok {
		report(at("auth_dbname"), "auth_dbname %q: there is no such database in [databases]", s.AuthDBName)
	}
}

// warnOfAuth says what of [auth] is likely not meant.
func (c *Config) warnOfAuth(warn func(string, ...any)) {
	if c.Auth.Type != AuthHBA && c.Auth.HBAFile != "" {
		warn("hba_file is not used: [auth] type is %q, not %q", c.Auth.Type, AuthHBA)
	}
	if c.Auth.IdentFile != "" && c.Auth.HBAFile == "" {
		warn("ident_file is not used without hba_file: its maps are for the rules")
	}
	warnIfOpen("auth_file", c.Auth.AuthFile, warn)
	warnIfOpen("salt_file", c.Auth.SaltFile, warn)
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		if _, twice := c.Accounts[name]; twice && c.Users[name].Password.IsSet() {
			warn("user %q is in auth_file and has a password in [users.%s], which is the one that counts", name, quoteKey(name))
		}
	}
	c.warnOfAuthQuery(warn)
}

// warnOfAuthQuery looks at each user that weir logs in as to look up others.
func (c *Config) warnOfAuthQuery(warn func(string, ...any)) {
	told := map[string]bool{}
	for _, database := range append([]string{""}, slices.Sorted(maps.Keys(c.Databases))...) {
		s := c.PoolSettings(database, "")
		if s.AuthUser == "" || told[s.AuthUser] {
			continue
		}
		told[s.AuthUser] = true
		secret, _ := c.Account(s.AuthUser)
		if form := secret.Form(); form == FormSCRAM {
			warn("auth_user %q has %s, from which weir cannot log in to look up others; it needs the password in clear text", s.AuthUser, form)
		}
	}
	if s := c.PoolSettings(AnyDatabase, ""); s.AuthUser != "" && s.AuthDBName == "" && NamesOthers(s.AuthQuery) {
		if _, any := c.Databases[AnyDatabase]; any {
			warn(`auth_user is set without auth_dbname: in a database that only a client names ([databases."*"]) auth_query runs only if no ` +
				`ordinary role can create anything there, because it names more than pg_catalog`)
		}
	}
}
