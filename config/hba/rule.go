package hba

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Method is how a rule has its clients prove who they are.
type Method uint8

// The methods of PostgreSQL that weir has. Reject is the zero value: what no rule allows is refused.
const (
	Reject   Method = iota
	Trust           // no proof
	Password        // the password in clear text
	MD5             // an md5 hash, or SCRAM for those whose password is stored so
	SCRAM           // scram-sha-256
	Peer            // what the kernel says of the other end of a unix socket
	Cert            // a certificate that names the user
)

var methodNames = []string{"reject", "trust", "password", "md5", "scram-sha-256", "peer", "cert"}

func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return "unknown"
}

// others are PostgreSQL's methods that weir does not have.
var others = []string{"bsd", "gss", "ident", "ldap", "oauth", "pam", "radius", "sspi"}

// ClientCert says which certificate a client must have shown whatever the method is.
type ClientCert uint8

// What a rule may demand.
const (
	CertAny        ClientCert = iota // it need not show one
	CertVerifyCA                     // one of a known authority
	CertVerifyFull                   // one that also names the user
)

// ClientName says which of a certificate's names counts: clientname.
type ClientName uint8

// What a rule may say.
const (
	ClientNameAny ClientName = iota // nothing: the configuration decides
	ClientNameCN                    // the common name
	ClientNameDN                    // the whole subject
)

// Rule is a line of pg_hba.conf. Treat it as immutable.
type Rule struct {
	File   string // where it stands: the file that has it, which need not be the first one
	Line   int
	Method Method
	// Map is the map of pg_ident.conf that says who may log in as which user; "" is each as itself. For Peer and certificates.
	Map        string
	ClientCert ClientCert
	ClientName ClientName

	conn      connType
	databases []pattern
	users     []pattern
	address   address
}

// String is file:line, for logs.
func (r *Rule) String() string { return r.File + ":" + strconv.Itoa(r.Line) }

// connType is the first word of a rule.
type connType uint8

const (
	connLocal connType = iota
	connHost
	connHostSSL
	connHostNoSSL
)

// Rules are a file's, in its order: the first that fits holds. nil has none, so it refuses all.
type Rules struct {
	rules []Rule
}

// Parse reads a file of rules. maps are those that the rules may name. With problems there are no rules.
func Parse(name string, files Files, maps *Maps) (*Rules, []Problem) {
	return parse(name, files, maps, false)
}

// ParsePgBouncer is Parse for PgBouncer's rules, where cert may stand in any line for TCP: without TLS a client has none to show.
func ParsePgBouncer(name string, files Files, maps *Maps) (*Rules, []Problem) {
	return parse(name, files, maps, true)
}

func parse(name string, files Files, maps *Maps, certs bool) (*Rules, []Problem) {
	s := newScanner(files)
	rules := &Rules{}
	s.lines(name, "", 0, func(l line) {
		p := lineParser{scanner: s, line: l, maps: maps, certs: certs}
		if r, ok := p.rule(); ok {
			rules.rules = append(rules.rules, r)
		}
	})
	if len(s.problems) == 0 && len(rules.rules) == 0 {
		s.problems = []Problem{{Where: name, Text: "contains no entries, so nobody could log in"}} // PostgreSQL does not load it either
	}
	if len(s.problems) > 0 {
		return nil, s.problems
	}
	return rules, nil
}

// lineParser takes one field after the other.
type lineParser struct {
	*scanner
	line line
	next int
	maps *Maps

	certs bool // cert may stand in lines for TCP without TLS
}

// one takes a field of a single word.
func (p *lineParser) one(what string) (token, bool) {
	f, ok := p.several(what)
	if ok && len(f) > 1 {
		p.problem(f[1].at, "want one %s, not a list", what)
		return token{}, false
	}
	if !ok {
		return token{}, false
	}
	return f[0], true
}

// several takes a field.
func (p *lineParser) several(what string) (field, bool) {
	if p.next == len(p.line) {
		last := p.line[len(p.line)-1]
		p.problem(last[len(last)-1].at, "the line ends after %q; want a %s", last[len(last)-1].text, what)
		return nil, false
	}
	p.next++
	return p.line[p.next-1], true
}

// rule reads a line: TYPE DATABASE USER [ADDRESS [MASK]] METHOD [OPTIONS].
func (p *lineParser) rule() (Rule, bool) {
	r := Rule{File: p.line.at().file, Line: p.line.at().line}
	kind, ok := p.one("connection type")
	if !ok || !p.connType(&r, kind) {
		return r, false
	}
	databases, ok := p.several("database")
	if !ok {
		return r, false
	}
	users, ok := p.several("user")
	if !ok {
		return r, false
	}
	r.databases, ok = p.patterns(databases, "database", databaseKeywords)
	more, ok2 := p.patterns(users, "user", userKeywords)
	r.users = more
	ok = ok && ok2
	if r.conn != connLocal && !p.address(&r) {
		return r, false
	}
	method, ok3 := p.one("method")
	return r, ok3 && p.method(&r, method) && p.options(&r) && ok
}

func (p *lineParser) connType(r *Rule, t token) bool {
	switch t.text {
	case "local":
		r.conn = connLocal
	case "host", "hostnogssenc": // weir's connections are never encrypted by GSSAPI
		r.conn = connHost
	case "hostssl":
		r.conn = connHostSSL
	case "hostnossl":
		r.conn = connHostNoSSL
	case "hostgssenc":
		p.problem(t.at, "hostgssenc is not supported: weir has no encryption by GSSAPI")
		return false
	default:
		p.problem(t.at, "unknown connection type %q; want local, host, hostssl or hostnossl", t.text)
		return false
	}
	return true
}

func (p *lineParser) method(r *Rule, t token) bool {
	name := t.text
	if name == "ident" && r.conn == connLocal {
		name = "peer" // as in PostgreSQL, for old files
	}
	i := slices.Index(methodNames, name)
	switch {
	case i < 0 && slices.Contains(others, name):
		p.problem(t.at, "method %q is not supported; want one of %s", name, strings.Join(methodNames, ", "))
		return false
	case i < 0:
		p.problem(t.at, "unknown method %q; want one of %s", name, strings.Join(methodNames, ", "))
		return false
	}
	r.Method = Method(i)
	switch {
	case r.Method == Peer && r.conn != connLocal:
		p.problem(t.at, "peer works on unix sockets only; want local in place of the connection type")
		return false
	case r.Method == Cert && r.conn != connHostSSL && !(p.certs && r.conn != connLocal):
		p.problem(t.at, "cert works with TLS only; want hostssl in place of the connection type")
		return false
	case r.Method == Cert:
		r.ClientCert = CertVerifyFull
	}
	return true
}

// options reads what follows the method: name=value.
func (p *lineParser) options(r *Rule) bool {
	ok := true
	for ; p.next < len(p.line); p.next++ {
		for _, t := range p.line[p.next] {
			if err := p.option(r, t); err != "" {
				p.problem(t.at, "%s", err)
				ok = false
			}
		}
	}
	return ok
}

// option returns what is wrong with one, or "".
func (p *lineParser) option(r *Rule, t token) string {
	name, value, ok := strings.Cut(t.text, "=")
	switch {
	case !ok:
		return fmt.Sprintf("%q is no option; want name=value", t.text)
	case name == "map" && r.Method != Peer && r.Method != Cert:
		return "map works with peer and cert only"
	case name == "map" && !p.maps.has(value):
		return fmt.Sprintf("there is no map %q in ident_file", value)
	case name == "map":
		r.Map = value
	case name != "clientcert" && name != "clientname":
		return fmt.Sprintf("unknown option %q; want map, clientcert or clientname", name)
	case r.conn != connHostSSL:
		return name + " works with hostssl only"
	case name == "clientname" && value != "CN" && value != "DN":
		return fmt.Sprintf("clientname must be CN or DN (got %q)", value)
	case name == "clientname" && value == "DN":
		r.ClientName = ClientNameDN
	case name == "clientname":
		r.ClientName = ClientNameCN
	case value == "verify-full":
		r.ClientCert = CertVerifyFull
	case value != "verify-ca":
		return fmt.Sprintf("clientcert must be verify-ca or verify-full (got %q)", value)
	case r.Method == Cert:
		return "cert is clientcert=verify-full; it cannot be verify-ca"
	default:
		r.ClientCert = CertVerifyCA
	}
	return ""
}

// UserNameMax is how many bytes a client's name can have: NAMEDATALEN - 1 in PostgreSQL's src/include/pg_config_manual.h.
const UserNameMax = 63

// pattern is one of the names that a rule is for.
type pattern struct {
	keyword string // all, sameuser, replication; "" for a name or an expression
	name    string
	re      *regexp.Regexp
}

// The words that are no names unless they are quoted.
var (
	databaseKeywords = []string{"all", "sameuser", "replication"}
	userKeywords     = []string{"all"}
)

// patterns reads a list of names.
func (p *lineParser) patterns(f field, what string, keywords []string) ([]pattern, bool) {
	var list []pattern
	ok := true
	wrong := func(t token, format string, args ...any) {
		p.problem(t.at, format, args...)
		ok = false
	}
	for _, t := range f {
		switch {
		case !t.quoted && slices.Contains(keywords, t.text):
			list = append(list, pattern{keyword: t.text})
		case what == "database" && (t.is("samerole") || t.is("samegroup")):
			wrong(t, "%s is not supported: weir does not know who is a member of a role", t.text)
		case what == "user" && !t.quoted && strings.HasPrefix(t.text, "+"):
			wrong(t, "%s is not supported: weir does not know who is a member of a role; list the users, or name a file of them: @file", t.text)
		case strings.HasPrefix(t.text, "/"):
			re, err := compile(t.text[1:])
			if err != nil {
				wrong(t, "regular expression %q: %v", t.text[1:], err)
				continue
			}
			list = append(list, pattern{re: re})
		case what == "user" && len(t.text) > UserNameMax:
			wrong(t, "user %q never fits: PostgreSQL cuts names after %d bytes", t.text, UserNameMax)
		default:
			list = append(list, pattern{name: t.text})
		}
	}
	return list, ok
}

func (n pattern) matches(name string) bool {
	switch {
	case n.keyword != "":
		return n.keyword == "all"
	case n.re != nil:
		return n.re.MatchString(name)
	}
	return n.name == name
}
