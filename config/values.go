package config

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fromFile and fromEnv are places of a Secret that the file names indirectly.
type (
	fromFile struct{ to *Secret }
	fromEnv  struct{ to *Secret }
)

// reader turns values of the TOML parser into ours.
type reader struct {
	folder  string                      // that relative file names begin at
	env     func(string) (string, bool) // looks up an environment variable
	secrets []string                    // that passwords were read from
	inline  bool                        // the configuration itself has one in clear
	files   []string                    // that were read
}

// secretMax is how long a password may be, in bytes: as long as a client's message with one, PG_MAX_AUTH_TOKEN_LENGTH in PostgreSQL's
// src/include/libpq/auth.h. Tokens of cloud services, used as passwords, have thousands.
const secretMax = 65535

// read stores the TOML value v in the place that a row of the table points to. The error is the rest of a sentence
// that begins with the setting's name; it never repeats a secret. element is the number of an array's element that
// is wrong, or -1.
func (r *reader) read(s *setting, place, v any) (element int, err error) {
	switch p := place.(type) {
	case *[]string:
		return readStrings(p, v)
	case hostsOf:
		return readHosts(p.Database, v)
	case portsOf:
		return readPorts(p.Database, v, s)
	}
	if p := reflect.ValueOf(place); p.Kind() == reflect.Pointer && p.Elem().Kind() == reflect.Pointer { // a place in an override
		fresh := reflect.New(p.Elem().Type().Elem())
		if element, err = r.read(s, fresh.Interface(), v); err == nil {
			p.Elem().Set(fresh)
		}
		return element, err
	}
	return -1, r.readOne(s, place, v)
}

// readOne is read for a place of a single value.
func (r *reader) readOne(s *setting, place, v any) error {
	switch p := place.(type) {
	case *Secret:
		if v == "" && s.field != nil { // not of a user or database: none is its default
			return nil
		}
		err := readSecret(p, v)
		r.inline = r.inline || p.IsSet() && !isVerifier(p.Reveal())
		return err
	case fromFile:
		return r.readFile(p.to, v)
	case fromEnv:
		return r.readEnv(p.to, v)
	case *bool:
		return readBool(p, v)
	case *int:
		return readInt(p, v, s)
	case *PeerID:
		return readPeerID(p, v, s)
	case *Duration:
		return readDuration(p, v, s)
	case *Ratio:
		return readRatio(p, v)
	}
	text, ok := v.(string)
	if !ok {
		return wrongType("text in quotes", v)
	}
	if err := readWord(place, text); err != nil {
		return err
	}
	if p, ok := place.(*Path); ok {
		*p = r.path(text)
	}
	return nil
}

func readBool(place *bool, v any) error {
	b, ok := v.(bool)
	if !ok {
		return wrongType("true or false", v)
	}
	*place = b
	return nil
}

// readWord stores what is written as text.
func readWord(place any, text string) error {
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("must not contain a NUL character")
	}
	switch p := place.(type) {
	case *string:
		*p = text
		return nil
	case *Path:
		*p = Path(text)
		return nil
	case *Size:
		return readParsed(p, parseSize, text)
	case *FileMode:
		return readParsed(p, parseFileMode, text)
	case *Ciphers:
		return readCiphers(p, text)
	case *Curves:
		return readCurves(p, text)
	case *TLSVersion:
		return readTLSVersion(p, text)
	case *AuthType:
		return readAuthType(p, text)
	case *slog.Level:
		return readLevel(p, text)
	case *SSLMode:
		return readEnum(p, sslModeNames, text)
	case *PoolMode:
		return readEnum(p, poolModeNames, text)
	case *SessionState:
		return readEnum(p, sessionStateNames, text)
	case *SessionAudit:
		return readEnum(p, sessionAuditNames, text)
	case *ProtocolVersion:
		return readEnum(p, protocolVersionNames, text)
	case *TargetSession:
		return readEnum(p, targetSessionNames, text)
	case *LoadBalance:
		return readEnum(p, loadBalanceNames, text)
	case *CertName:
		return readEnum(p, certNames, text)
	case *LogFormat:
		return readEnum(p, logFormatNames, text)
	}
	panic(fmt.Sprintf("config: a row of the table points to a %T", place))
}

func readParsed[T any](place *T, parse func(string) (T, error), text string) error {
	v, err := parse(text)
	if err != nil {
		return fmt.Errorf("= %q: %w", text, err)
	}
	*place = v
	return nil
}

func readTLSVersion(place *TLSVersion, text string) error {
	if readEnum(place, tlsVersionNames, canonicalTLSVersion(text)) == nil {
		return nil
	}
	return readEnum(place, tlsVersionNames, text) // the error is about what was written
}

func readAuthType(place *AuthType, text string) error {
	switch text {
	case pgbouncerPlain:
		text = AuthPassword.String()
	case "ldap", "pam":
		return fmt.Errorf("%q is not supported: weir knows no %s; want %s", text, strings.ToUpper(text), oneOf(authTypeNames))
	}
	return readEnum(place, authTypeNames, text)
}

func readLevel(place *slog.Level, text string) error {
	var i int
	if err := readEnum(&i, logLevelNames, text); err != nil {
		return err
	}
	*place = slog.Level(4*i) + slog.LevelDebug
	return nil
}

func readEnum[T ~uint8 | ~int](place *T, names []string, text string) error {
	i, ok := indexOf(names, text)
	if !ok {
		return fmt.Errorf("must be %s (got %q)%s", oneOf(names), text, DidYouMean(text, names))
	}
	*place = T(i)
	return nil
}

func readInt(place *int, v any, s *setting) error {
	n, ok := v.(int64)
	if !ok {
		if text, isText := v.(string); isText {
			if _, err := strconv.Atoi(text); err == nil {
				return fmt.Errorf("must be a whole number without quotes: %s", text)
			}
		}
		return wrongType("a whole number", v)
	}
	if n < s.min || n > s.max {
		return fmt.Errorf("must be from %d to %d (got %d)", s.min, s.max, n)
	}
	*place = int(n)
	return nil
}

func readRatio(place *Ratio, v any) error {
	var ratio float64
	switch n := v.(type) {
	case int64:
		ratio = float64(n)
	case float64:
		ratio = n
	default:
		return wrongType("a number from 0 to 1", v)
	}
	if !(ratio >= 0 && ratio <= 1) { // NaN is neither
		return fmt.Errorf("must be from 0 to 1 (got %v)", ratio)
	}
	*place = Ratio(ratio)
	return nil
}

func readDuration(place *Duration, v any, s *setting) error {
	switch t := v.(type) {
	case string:
		d, err := parseDuration(t)
		if err != nil {
			return fmt.Errorf("= %q: %w", t, err)
		}
		if longest := Duration(s.max) * second; s.max > 0 && (d > longest || d%second != 0) {
			return fmt.Errorf("must be whole seconds, at most %s (got %q)", longest, t)
		}
		*place = d
		return nil
	case int64:
		if t == 0 {
			*place = 0
			return nil
		}
		if t > 0 && t <= int64(durationMax/second) {
			return fmt.Errorf(`must be a duration with its unit, in quotes: "%ds" for seconds`, t)
		}
	}
	return wrongType(`a duration in quotes, such as "30s"`, v)
}

func readStrings(place *[]string, v any) (int, error) {
	list, ok := v.([]any)
	if !ok {
		if text, isText := v.(string); isText {
			return -1, fmt.Errorf("must be a list: [%q]", text)
		}
		return -1, wrongType("a list of texts", v)
	}
	texts := make([]string, len(list))
	for i, e := range list {
		text, ok := e.(string)
		if !ok {
			return i, wrongType("a list of texts", e)
		}
		if err := readWord(&texts[i], text); err != nil {
			return i, err
		}
	}
	*place = texts
	return -1, nil
}

func readSecret(place *Secret, v any) error {
	text, ok := v.(string)
	if !ok {
		return wrongType("text in quotes", v)
	}
	return setSecret(place, text, "is")
}

// setSecret checks what makes no secret; verb is how the message goes on after the setting's name.
func setSecret(place *Secret, text, verb string) error {
	switch {
	case text == "":
		return fmt.Errorf("%s empty", verb)
	case len(text) > secretMax:
		return fmt.Errorf("%s longer than %d bytes", verb, secretMax)
	case strings.ContainsAny(text, "\x00"):
		return fmt.Errorf("%s no password: it contains a NUL character", verb)
	case strings.HasPrefix(text, scramPrefix) && !isVerifier(text):
		return fmt.Errorf("%s a damaged SCRAM verifier: want %siterations:salt$storedkey:serverkey", verb, scramPrefix)
	}
	*place = NewSecret(text)
	return nil
}

func (r *reader) readFile(place *Secret, v any) error {
	name, ok := v.(string)
	if !ok {
		return wrongType("the name of a file, in quotes", v)
	}
	if name == "" {
		return fmt.Errorf("is empty")
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(r.folder, name)
	}
	r.files = append(r.files, name)
	text, err := readBounded(name, secretMax+2)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	r.secrets = append(r.secrets, name)
	// One line end, as an editor or echo leaves it; a password may begin or end with other blanks.
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	return setSecret(place, line, fmt.Sprintf("names %s, whose text is", name))
}

func (r *reader) readEnv(place *Secret, v any) error {
	name, ok := v.(string)
	if !ok {
		return wrongType("the name of an environment variable, in quotes", v)
	}
	text, ok := r.env(name)
	if !ok {
		return fmt.Errorf("names the environment variable %q, which is not set", name)
	}
	return setSecret(place, text, fmt.Sprintf("names the environment variable %q, whose text is", name))
}

// wrongType names what came instead, not its value: it may be a secret in the wrong place.
func wrongType(want string, v any) error {
	var got string
	switch v.(type) {
	case string:
		got = "text"
	case int64:
		got = "a whole number"
	case float64:
		got = "a number with a fraction"
	case bool:
		got = "true or false"
	case map[string]any:
		got = "a table"
	case []any, []map[string]any:
		got = "a list"
	default:
		got = "a date or time"
	}
	return fmt.Errorf("must be %s (got %s)", want, got)
}

// show writes the value in a place as TOML; a place in Override must be set.
func show(place any) string {
	switch p := place.(type) {
	case hostsOf:
		return quote(p.Host)
	case portsOf:
		return showPorts(p.Database)
	case *[]string:
		quoted := make([]string, len(*p))
		for i, s := range *p {
			quoted[i] = quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *Ratio:
		return p.String()
	case *string:
		return quote(*p)
	case *PeerID:
		if !p.Ordinal {
			return strconv.Itoa(p.Number)
		}
		return quote(p.String())
	case *Path:
		return quote(string(*p))
	case *slog.Level:
		return quote(nameOf(logLevelNames, int(*p-slog.LevelDebug)/4))
	case fmt.Stringer:
		return quote(p.String())
	}
	if rv := reflect.ValueOf(place).Elem(); rv.Kind() == reflect.Pointer {
		return show(rv.Interface())
	}
	panic(fmt.Sprintf("config: a row of the table points to a %T", place))
}

// isOverridden tells whether a place in Override is set.
func isOverridden(place any) bool { return !reflect.ValueOf(place).Elem().IsNil() }

// quote writes a text as a TOML basic string.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoteKey writes a name as a TOML key, bare if it may be.
func quoteKey(name string) string {
	bare := name != ""
	for _, r := range name {
		bare = bare && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}
	if bare {
		return name
	}
	return quote(name)
}

// readBounded reads a file that must not be longer than limit; more would be the wrong file, or /dev/zero.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // G304: the operator names the file in the configuration
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		return readPipe(f, name, limit)
	}
	return readLimited(f, name, limit)
}

// pipePatience is for how long a pipe's writer may take.
const pipePatience = 5 * time.Second

// readPipe reads what a shell's <(command) gives. A pipe that nobody writes to would keep a reload, and all that come after it, for ever, or
// pass for an empty file.
func readPipe(f *os.File, name string, limit int64) ([]byte, error) {
	if err := f.SetReadDeadline(time.Now().Add(pipePatience)); err != nil {
		return nil, err
	}
	text, err := readLimited(f, name, limit)
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s is a pipe, and nobody writes to it", name)
	}
	return text, err
}
