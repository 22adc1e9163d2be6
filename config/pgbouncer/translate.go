package pgbouncer

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"weir/config"
)

// reserved is the name of PgBouncer's console, which no database may have.
const reserved = "pgbouncer"

// Note says of a line, or of the file as a whole, what weir does not do, or does otherwise.
type Note struct {
	Line Line // its File is empty for a note about the file as a whole
	Text string
}

func (n Note) String() string {
	if n.Line.File == "" {
		return n.Text
	}
	return n.Line.Where() + ": " + n.Text
}

// Result is what a file means to weir.
type Result struct {
	Config *config.Config // complete
	Notes  []Note         // in the order of the file

	// Unfit is config.Problems or nil: why weir could not serve this here and now, such as a file that is not there.
	Unfit error
	// Unservable is the same for a weir that serves the file as it is.
	Unservable error

	served config.Config
}

// Translate gives each line its meaning. Relative file names begin at dir, the folder that PgBouncer would run in. The error is
// config.Problems: all that is wrong with the file, in PgBouncer's words where it has some.
func Translate(d *Document, dir string) (*Result, error) {
	t := &translation{document: d, dir: dir, conf: config.Default(), lines: map[string]Line{}}
	t.conf.HTTP.Address = "" // PgBouncer serves none, and a second one on the machine would find the port taken
	t.conf.Listen.Addresses = nil
	t.sections()
	t.general()
	t.listeners()
	for _, l := range d.Lines {
		switch l.Section {
		case "databases":
			t.database(l)
		case "users":
			t.user(l)
		case "peers":
			t.peer(l)
		}
	}
	if len(t.problems) > 0 {
		return nil, t.problems
	}
	t.agree()
	if len(t.problems) > 0 {
		return nil, t.problems
	}
	slices.SortStableFunc(t.notes, func(a, b Note) int { return a.Line.order - b.Line.order })
	r := &Result{Config: t.conf, Notes: t.notes, served: *t.conf}
	r.served.PgBouncer, r.served.Foreign, r.served.Mean = true, t.foreign, t.mean
	for _, n := range t.notes {
		r.served.Unheeded = append(r.served.Unheeded, n.String())
	}
	r.served.Auth.AuthQueryLifetime = 0                  // each login asks
	r.served.Timeouts.DrainTimeout = seconds(secondsMax) // SIGTERM waits until the last client has left
	r.Unservable = r.served.Complete(t.where)
	r.Unfit = t.conf.Complete(t.where)
	return r, nil
}

// Served is the Config for serving a file of PgBouncer's as it is: what differs from the imported one has no setting in weir.toml.
func (r *Result) Served() *config.Config {
	c := r.served
	return &c
}

// translation is under way through the lines.
type translation struct {
	document  *Document
	dir       string
	conf      *config.Config
	addresses []string // listen_addr
	port      int
	foreign   []config.Foreign
	lines     map[string]Line // of databases and users, by section/name
	notes     []Note
	problems  config.Problems

	wrongProtocols []wrongProtocols
}

func (t *translation) note(at *Line, format string, args ...any) {
	n := Note{Text: fmt.Sprintf(format, args...)}
	if at != nil {
		n.Line = *at
	}
	t.notes = append(t.notes, n)
}

func (t *translation) fail(at *Line, format string, args ...any) {
	where := t.document.Name
	if at != nil {
		where = at.Where()
	}
	t.problems = append(t.problems, config.Problem{Where: where, Text: fmt.Sprintf(format, args...)})
}

// where tells config the place of a setting: the line of a database or a user, or the file.
func (t *translation) where(path []string) string {
	if len(path) > 1 {
		if l, ok := t.lines[path[0]+"/"+path[1]]; ok {
			return l.Where()
		}
	}
	return t.document.Name
}

// path makes a file's name absolute.
func (t *translation) path(name string) config.Path {
	if name == "" || filepath.IsAbs(name) {
		return config.Path(name)
	}
	return config.Path(filepath.Join(t.dir, name))
}

func (t *translation) sections() {
	headed := slices.ContainsFunc(t.document.Heads, func(h Line) bool { return h.Section == "pgbouncer" })
	if own := slices.IndexFunc(t.document.Heads, ofWeir); own >= 0 && !headed {
		t.fail(&t.document.Heads[own], `this is a weir.toml: "weir serve -c FILE" serves it, "weir check -c FILE" says what holds`)
		return
	}
	for _, h := range t.document.Heads {
		switch h.Section {
		case "pgbouncer", "databases", "users", "peers":
		default:
			t.fail(&h, "invalid section %q in configuration", h.Section)
		}
	}
	if !headed {
		t.fail(nil, "there is no section [pgbouncer]")
	}
}

// ofWeir reports whether a section is one that a weir.toml has, and no file of PgBouncer's.
func ofWeir(h Line) bool {
	kind, _, named := strings.Cut(h.Section, ".")
	return named && slices.Contains([]string{"databases", "users", "peers"}, kind) ||
		slices.Contains([]string{"listen", "auth", "pool", "http", "limits", "timeouts"}, kind)
}

// general applies [pgbouncer]: the last line of a setting, or its default.
func (t *translation) general() {
	given := map[string]value{}
	for _, l := range t.document.Lines {
		if l.Section != "pgbouncer" {
			continue
		}
		s := find(l.Key)
		if s == nil {
			t.fail(&l, "unknown parameter: pgbouncer/%s%s", l.Key, didYouMean(l.Key))
			continue
		}
		v, ok := parse(s.kind, s.words, l.Value)
		if !ok {
			t.fail(&l, "invalid value %q for parameter %s in configuration%s", l.Value, l.Key, commentIn(l.Value))
			continue
		}
		v.line = &l
		given[l.Key] = v
	}
	for i := range settings {
		t.setting(&settings[i], given)
	}
}

// commentIn is the tail of a message about a value that ends in what looks like a comment, and is none.
func commentIn(text string) string {
	if strings.Contains(text, " ;") || strings.Contains(text, " #") || strings.Contains(text, "\t;") || strings.Contains(text, "\t#") {
		return "; a comment stands on a line of its own"
	}
	return ""
}

// didYouMean is the tail of a message about an unknown setting.
func didYouMean(name string) string {
	if name == "pool_size" { // as databases and users call it
		name = "default_pool_size"
	}
	names := make([]string, len(settings))
	for i := range settings {
		names[i] = settings[i].name
	}
	return config.DidYouMean(name, names)
}

func (t *translation) setting(s *setting, given map[string]value) {
	standard, _ := parse(s.kind, s.words, s.standard)
	v, said := given[s.name]
	if !said {
		v = standard
	}
	if s.name == "conffile" && !said {
		v.text = string(t.path(t.document.Name))
	}
	if s.apply != nil {
		s.apply(t, v)
	}
	t.foreign = append(t.foreign, config.Foreign{
		Name: s.name, Value: v.shown(s.kind, s.words), Default: s.standard, NoDefault: s.unset, Restart: s.fixed,
		Inert: s.apply == nil, Said: said,
		Read: func(text string) (string, bool) {
			v, ok := parse(s.kind, s.words, text)
			return v.shown(s.kind, s.words), ok
		},
	})
	same := v.number == standard.number && v.seconds == standard.seconds && (s.kind != kindText || v.text == standard.text)
	if s.lacks != "" && v.line != nil && !same {
		t.note(v.line, "%s: %s", s.name, s.lacks)
	}
}

// mean applies what SET has changed: all settings again, since some count only together with others, save those that need a restart. The
// level of the log may be the command line's, so only SET verbose touches it.
func (t *translation) mean(c *config.Config, changed string) error {
	again := &translation{document: t.document, dir: t.dir, conf: c}
	for _, f := range c.Foreign {
		s := find(f.Name)
		if s == nil || s.fixed || s.apply == nil || f.Name == "verbose" && changed != f.Name {
			continue
		}
		v, _ := parse(s.kind, s.words, f.Value)
		if f.Said {
			v.line = &Line{Key: f.Name}
		}
		s.apply(again, v)
	}
	again.settle()
	if len(again.problems) > 0 {
		return errors.New(again.problems[0].Text)
	}
	return nil
}

// find looks a setting up; the names are in lower case.
func find(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

func (t *translation) listeners() {
	port := strconv.Itoa(t.port)
	var hosts []string
	for _, host := range t.addresses {
		if host == "*" { // that is all there are
			t.conf.Listen.Addresses = []string{":" + port}
			break
		}
		host = strings.Trim(host, "[]")
		if i := slices.IndexFunc(hosts, func(other string) bool { return config.SameHost(host, other) }); i >= 0 {
			t.note(nil, "listen_addr: %s is left out, because %s has its port", host, hosts[i])
			continue
		}
		hosts = append(hosts, host)
		t.conf.Listen.Addresses = append(t.conf.Listen.Addresses, net.JoinHostPort(host, port))
	}
	t.conf.Listen.UnixSocketPort = t.port
}

func socketDir(t *translation, v value) {
	switch {
	case strings.HasPrefix(v.text, "@"):
		t.note(v.line, "unix_socket_dir: an abstract socket cannot be listened on; clients need TCP or a folder")
	default:
		t.conf.Listen.UnixSocketDir = string(t.path(v.text))
	}
}

func authType(t *translation, v value) {
	switch word := authWords[v.number]; word {
	case "any":
		t.conf.Auth.Type = config.AuthAny
	case "ldap", "pam":
		t.fail(v.line, `auth_type %q is not supported: weir knows no %s; with "hba" and a file of rules other users can log in otherwise`, word, strings.ToUpper(word))
	case "plain":
		t.conf.Auth.Type = config.AuthPassword
	default:
		t.conf.Auth.Type = map[string]config.AuthType{
			"trust": config.AuthTrust, "md5": config.AuthMD5, "cert": config.AuthCert, "hba": config.AuthHBA, "scram-sha-256": config.AuthSCRAM,
		}[word]
	}
}

// clientSSLMode: PgBouncer's verify-full looks at the authority only, as its verify-ca does.
func clientSSLMode(t *translation, v value) {
	t.conf.ClientTLS.SSLMode = min(sslModes[v.number], config.SSLVerifyCA)
}

// tlsVersions are PgBouncer's words for versions of TLS.
var tlsVersions = map[string]tlsVersion{
	"tlsv1.0": tlsOld, "tlsv1.1": tlsOld, "tlsv1.2": tls12, "tlsv1.3": tls13, "tlsv1": tlsOld | tls12 | tls13, "all": tlsOld | tls12 | tls13,
	"secure": tls12 | tls13, "default": tls12 | tls13,
}

type tlsVersion uint8 // a set of them

const (
	tlsOld tlsVersion = 1 << iota
	tls12
	tls13
)

// parseTLSVersions reads a list of versions, each of which may be taken away again with a "!".
func parseTLSVersions(text string) (versions tlsVersion, ok bool) {
	if text == "" {
		text = "secure"
	}
	for _, word := range strings.Split(strings.ReplaceAll(strings.ToLower(text), ":", ","), ",") {
		name, less := strings.CutPrefix(strings.Trim(word, blanks), "!")
		v, known := tlsVersions[name]
		switch {
		case !known:
			return 0, false
		case less:
			versions &^= v
		default:
			versions |= v
		}
	}
	return versions, true
}

// protocols translates a list of versions of TLS.
func (t *translation) protocols(v value, to *config.TLS) {
	to.MinVersion = config.TLS12
	versions, ok := parseTLSVersions(v.text)
	if !ok { // which counts only where there is TLS: see settle
		t.wrongProtocols = append(t.wrongProtocols, wrongProtocols{v, to})
		return
	}
	if versions&tlsOld != 0 {
		t.note(v.line, "%s: versions before TLS 1.2 are broken and not spoken", v.line.Key)
	}
	switch two, three := versions&tls12 != 0, versions&tls13 != 0; {
	case three && !two:
		to.MinVersion = config.TLS13
	case two && !three:
		t.note(v.line, "%s: TLS 1.3 is spoken with those who know it", v.line.Key)
	}
}

// wrongProtocols is a list of versions with a word that is none.
type wrongProtocols struct {
	value
	of *config.TLS
}

// ciphers translates a list of OpenSSL's. Its words for groups of ciphers, and what they leave out, Go does not have.
func (t *translation) ciphers(v value, to *config.Ciphers) {
	*to = ""
	switch strings.ToLower(v.text) {
	case "", "default", "secure", "fast", "normal", "all":
		return
	}
	known, unknown := config.ParseCiphers(v.text)
	*to = known
	if len(unknown) > 0 {
		t.note(v.line, "%s: Go has no cipher %s, and chooses among those that are safe", v.line.Key, strings.Join(unknown, ":"))
	}
}

// curves translates the name of a curve.
func curves(t *translation, v value) {
	t.conf.ClientTLS.Curves = ""
	switch strings.ToLower(v.text) {
	case "", "auto", "none":
		return
	}
	known, unknown := config.ParseCurves(v.text)
	t.conf.ClientTLS.Curves = known
	if len(unknown) > 0 {
		t.note(v.line, "%s: Go has no curve %s, and chooses among those that are safe", v.line.Key, strings.Join(unknown, ":"))
	}
}

// agree makes go together what weir insists on and PgBouncer does not.
func (t *translation) agree() {
	c := t.conf
	for name, d := range c.Databases {
		if d.PoolSize != nil && d.MinPoolSize != nil && *d.MinPoolSize > *d.PoolSize {
			d.MinPoolSize = d.PoolSize
			c.Databases[name] = d
		}
	}
	t.settle()
}

// settle is agree for the settings of [pgbouncer].
func (t *translation) settle() {
	c := t.conf
	c.Pool.MinPoolSize = min(c.Pool.MinPoolSize, c.Pool.PoolSize)
	for _, w := range t.wrongProtocols {
		if w.of.SSLMode != config.SSLDisable {
			t.fail(w.line, "invalid %s: %s", w.line.Key, w.text)
		}
	}
	if c.ClientTLS.SSLMode == config.SSLDisable { // the files are not used, and need not be there
		c.ClientTLS = config.TLS{}
	}
	switch {
	case c.ServerTLS.SSLMode == config.SSLDisable:
		c.ServerTLS = config.TLS{}
	case c.ServerTLS.SSLMode < config.SSLVerifyCA: // with libpq, and so here, require with a ca_file verifies
		c.ServerTLS.CAFile = ""
	}
	if !c.Log.Syslog {
		standard := config.Default().Log
		c.Log.SyslogFacility, c.Log.SyslogIdent = standard.SyslogFacility, standard.SyslogIdent
	}
	// Here what is named has no effect, whatever it is. PgBouncer looks first for what it follows.
	c.Clients.IgnoreStartupParameters = slices.DeleteFunc(c.Clients.IgnoreStartupParameters, t.follows)
	if c.Auth.Type != config.AuthHBA {
		c.Auth.HBAFile, c.Auth.IdentFile = "", ""
	}
}

// follows reports whether PgBouncer follows a startup parameter with this file. track_extra_parameters needs a restart, so SET does not count.
func (t *translation) follows(name string) bool {
	if config.FollowedAlways(name) {
		return true
	}
	var tracked []string
	for _, l := range t.document.Lines {
		if l.Section == "pgbouncer" && l.Key == "track_extra_parameters" {
			tracked = list(l.Value)
		}
	}
	return slices.ContainsFunc(tracked, func(s string) bool { return strings.EqualFold(s, name) })
}
