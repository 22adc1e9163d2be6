package arch

// rule is what one package's code may import. Tests are exempt; they still
// obey the compiler, which has no cycles.
type rule struct {
	ours    []string // of this module, without the leading "weir/"
	outside []string // from other modules; "x/..." is x and all below
	std     []string // when set, these of the standard library are refused
	pure    bool     // a function of its input: no clock, no global chance, no goroutine
	later   bool     // may be absent, because it is planned and not yet written
	why     string   // printed when the rule is broken
}

// impure is what the purest packages do without: they hold no lock, because
// one loop owns them, and report instead of logging.
var impure = []string{"net", "os", "sync", "log/slog"}

// engine is all that the proxy is put together from.
var engine = []string{
	"config", "config/hba", "pool", "pool/board",
	"proxy/accounts", "proxy/console", "proxy/authquery", "proxy/backend", "proxy/cancelkey", "proxy/certs", "proxy/clients", "proxy/conversation", "proxy/descriptors", "proxy/dial", "proxy/eventloop", "proxy/exchange",
	"proxy/generation", "proxy/hosts",
	"proxy/livepage", "proxy/prelogin", "proxy/login", "proxy/logins", "proxy/logline", "proxy/notify", "proxy/peers", "proxy/pgerror", "proxy/places", "proxy/ports", "proxy/prepared", "proxy/relay", "proxy/replication", "proxy/router", "proxy/scram", "proxy/session", "proxy/socket", "proxy/sqlscan",
	"proxy/status", "proxy/telemetry", "proxy/tracing", "proxy/tunnel", "proxy/wire",
}

// table has a row for every package, in the order in which data flows. What
// tests and the demo need (internal/...) is in no row of the production code:
// a proxy that links its own test support would ship it.
var table = map[string]rule{
	"pool/board": {
		pure: true,
		why:  "lanes on different loops read and write it at any time: atomic words, and no decision",
	},
	"pool": {
		ours: []string{"pool/board"},
		std:  impure, pure: true,
		why: "the pool decides and does nothing: events in, decisions out, so that a model can test every order of events",
	},
	"config": {
		ours:    []string{"config/hba"},
		outside: []string{"github.com/BurntSushi/toml", "github.com/agext/levenshtein"},
		why:     "a Config is a value that every part reads, so it can depend on none of them; its rules are read by config/hba",
	},
	"config/hba": {
		std: []string{"os", "sync", "log/slog"}, pure: true, // net/netip is a value
		why: "rules are read from text and asked with a value, so that a fuzzer and PostgreSQL's own view can check them",
	},
	"config/pgbouncer": {
		ours: []string{"config"},
		why:  "the translation of PgBouncer's files ends in a Config and needs nothing that runs",
	},

	"proxy/eventloop": {
		outside: []string{"golang.org/x/sys/unix"},
		why:     "the loop serves descriptors and knows nothing of clients, backends or PostgreSQL",
	},
	"proxy/socket": {
		outside: []string{"golang.org/x/sys/unix"},
		why:     "login, backend and relay share it, so it lies below them and knows no message",
	},
	"proxy/ascii": {
		std: impure, pure: true,
		why: "how PostgreSQL folds names is needed in several places, and is the same in all",
	},
	"proxy/bounded": {
		std: impure, pure: true,
		why: "each table that strangers can fill has an owner and a lock of its own; how it keeps its limit is the same in all",
	},
	"proxy/pgerror": {
		why: "what users read is listed in one place, which everything may import",
	},
	"proxy/cancelkey": {
		pure: true,
		why:  "keys are bytes: making, reading and verifying one needs no connection",
	},
	"proxy/wire": {
		ours: []string{"proxy/pgerror"}, pure: true,
		why: "framing reads and writes bytes in place and keeps nothing",
	},
	"proxy/sqlscan": {
		ours: []string{"proxy/ascii"},
		std:  impure, pure: true,
		why: "the lexer is a function from a statement's bytes to its effects",
	},
	"proxy/exchange": {
		ours: []string{"proxy/wire"}, pure: true,
		why: "when a backend may be freed is the most dangerous rule; it is tested by scripts, without sockets",
	},
	"proxy/session": {
		ours: []string{"proxy/ascii", "proxy/sqlscan"}, pure: true,
		why: "a client's state is a value that is compared and replayed, and knows no connection",
	},
	"proxy/prepared": {
		ours: []string{"proxy/wire", "proxy/sqlscan"}, pure: true,
		why: "names of statements are book-keeping, and know no connection",
	},
	"proxy/certs": {
		ours: []string{"config"},
		why:  "login and backend both ask it for what a handshake needs; it knows files and no connection",
	},
	"proxy/scram": {
		outside: []string{"golang.org/x/text/..."}, pure: true,
		why: "login is the server's side of SCRAM and backend a client's; what both compute is a function of secrets; SASLprep comes from x/text",
	},
	"proxy/login": {
		ours:    []string{"config", "config/hba", "proxy/ascii", "proxy/bounded", "proxy/cancelkey", "proxy/certs", "proxy/pgerror", "proxy/scram", "proxy/socket", "proxy/wire"},
		outside: []string{"github.com/jackc/pgproto3/v2"},
		why:     "login ends with a value and knows neither loop nor pool",
	},
	"proxy/authquery": {
		ours: []string{"config", "proxy/backend"},
		why:  "it looks users up over connections that others make for it, and knows neither logins nor pools; config for Secret, backend to ask",
	},
	"proxy/backend": {
		ours: []string{"config", "proxy/certs", "proxy/scram", "proxy/session", "proxy/socket", "proxy/wire"},
		why:  "a login towards a server is ours to the last byte, its settings as session names them; who leases the backend is not its business",
	},
	"proxy/hosts": {
		ours: []string{"config", "proxy/backend", "proxy/pgerror", "proxy/status"},
		why:  "which of several servers will do is found out by logging in to them; who gets the backend is not its business",
	},
	"proxy/peers": {
		ours: []string{"proxy/backend", "proxy/cancelkey", "proxy/status"},
		why:  "a request is passed on as a client of the peer would send it; who asks and what is logged is the proxy's",
	},
	"proxy/status": {
		why: "snapshots are plain structs, so that console and metrics never reach into live objects",
	},
	"proxy/descriptors": {
		ours: []string{"config", "proxy/socket"},
		why:  "it is arithmetic over a Config and the process's limit",
	},
	"proxy/logins": {
		ours: []string{"proxy/status"},
		why:  "who makes room for whom is decided from what a connection's login has done, whatever a login is",
	},
	"proxy/logline": {
		why: "the log is written for every part alike, and waits for none",
	},
	"proxy/prelogin": {
		ours: []string{"proxy/eventloop", "proxy/socket"}, outside: []string{"golang.org/x/sys/unix"},
		why: "it carries any blocking code on a loop, and knows neither what a login is nor who follows",
	},
	"proxy/notify": {
		ours: []string{"proxy/pgerror", "proxy/wire"}, std: impure, pure: true,
		why: "who gets which notification, exactly once and in order, is tested with a model of the server's queue",
	},
	"proxy/conversation": {
		ours: []string{"proxy/ascii", "proxy/exchange", "proxy/notify", "proxy/pgerror", "proxy/prepared", "proxy/session", "proxy/sqlscan", "proxy/wire"},
		std:  impure, pure: true,
		why: "what a client and a backend say to each other is decided from messages alone, so that scripts and fuzzing can drive it",
	},
	"proxy/relay": {
		ours: []string{
			"pool", "pool/board", "proxy/cancelkey", "proxy/conversation", "proxy/eventloop", "proxy/notify", "proxy/pgerror", "proxy/prepared",
			"proxy/session", "proxy/socket", "proxy/status", "proxy/wire",
		},
		why: "sockets, readiness, back-pressure, the pool and time; what messages mean is conversation's",
	},
	"proxy/places": {
		ours: []string{"proxy/relay"},
		why:  "who may have one more backend is decided over all pools, from what each claims; relay for the lanes that hold them",
	},
	"proxy/tunnel": {
		ours: []string{"proxy/eventloop", "proxy/socket", "proxy/wire"},
		why:  "it passes bytes on until one side ends, and knows only where a message does",
	},
	"proxy/generation": {
		ours: []string{
			"config", "pool", "proxy/backend", "proxy/certs", "proxy/conversation", "proxy/descriptors", "proxy/hosts", "proxy/login", "proxy/pgerror",
			"proxy/places", "proxy/relay", "proxy/socket", "proxy/sqlscan", "proxy/wire",
		},
		why: "one configuration is put into the terms of each part that follows it; it knows their settings and drives none of them",
	},
	"proxy/accounts": {
		ours: []string{
			"config", "proxy/authquery", "proxy/backend", "proxy/bounded", "proxy/dial", "proxy/generation", "proxy/hosts", "proxy/login", "proxy/pgerror", "proxy/scram", "proxy/session",
		},
		why: "what is stored for a user follows from the generation and from what auth_query finds; who logs in with it is not its business",
	},
	"proxy/clients": {
		ours: []string{"config", "proxy/generation", "proxy/pgerror", "proxy/relay"},
		why:  "who may be one more client is decided over all pools, from counts alone",
	},
	"proxy/dial": {
		ours: []string{
			"config", "pool", "proxy/backend", "proxy/bounded", "proxy/generation", "proxy/hosts", "proxy/logline", "proxy/login", "proxy/pgerror", "proxy/relay", "proxy/scram",
			"proxy/session", "proxy/socket", "proxy/sqlscan",
		},
		why: "where and as whom weir logs in follows from the generation and from what logins have shown; who gets the backend is not its business",
	},
	"proxy/router": {
		ours: []string{
			"config", "proxy/bounded", "proxy/eventloop", "proxy/generation", "proxy/pgerror", "proxy/places", "proxy/prelogin", "proxy/relay", "proxy/status",
		},
		why: "which pool a client gets is decided from the generation and from the clients that there are; dials are others'",
	},
	"proxy/replication": {
		ours: []string{
			"proxy/backend", "proxy/cancelkey", "proxy/dial", "proxy/generation", "proxy/hosts", "proxy/logline", "proxy/login", "proxy/pgerror", "proxy/places",
			"proxy/prelogin", "proxy/relay", "proxy/session", "proxy/socket", "proxy/status", "proxy/tunnel", "proxy/wire",
		},
		why: "a client that replicates has a backend of its own; relay for the form of a failed dial, places for what pools leave it, and no pool",
	},
	"proxy/console": {
		ours:    []string{"config", "proxy/logline", "proxy/pgerror", "proxy/status", "proxy/wire"},
		outside: []string{"github.com/jackc/pgproto3/v2"},
		why:     "the console shows snapshots of proxy/status; it cannot touch what it shows; logline for the form of ptr",
	},
	"proxy/livepage": {
		ours: []string{"proxy/status"}, pure: true,
		why: "the page is a function of the snapshots that it was given, so that a sample shows all of it",
	},
	"proxy/telemetry": {
		ours:    []string{"config", "proxy/status"},
		outside: []string{"github.com/prometheus/client_golang/...", "github.com/prometheus/client_model/go"},
		why:     "metrics come from snapshots of proxy/status, and nothing on the data path knows that they are scraped",
	},
	"proxy/tracing": {
		ours: []string{"config", "proxy/status"},
		outside: []string{
			"go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes", "go.opentelemetry.io/otel/exporters/otlp/otlptrace",
			"go.opentelemetry.io/otel/sdk/...", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/proto/otlp/trace/v1", "google.golang.org/protobuf/proto",
		},
		why: "traces are made from values that loops hand over, and nothing on the data path knows OpenTelemetry; its transports would bring gRPC along",
	},
	"proxy/ports": {
		ours: []string{"config", "proxy/generation", "proxy/prelogin", "proxy/socket"},
		why:  "where clients are accepted, and how the next weir gets there, is known without them: it has sockets and no login",
	},
	"proxy": {
		ours: engine,
		why:  "the one place where the parts meet; libraries stay behind the part that needs them",
	},

	"bookstore": {
		why: "the domain's types and contracts; store and API depend on them",
	},
	"bookstore/token": {
		ours: []string{"bookstore"}, outside: []string{"github.com/golang-jwt/jwt/v5"},
		why: "tokens say who asks to API and storefront alike; what he may do is the store's to find out",
	},
	"bookstore/stock": {
		ours: []string{"bookstore"}, outside: []string{"golang.org/x/image/...", "golang.org/x/text/..."},
		why: "the first stock is a function of its size; who puts it on the shelves is the store's business",
	},
	"bookstore/store": {
		ours: []string{"bookstore", "bookstore/stock"},
		outside: []string{
			"github.com/jackc/pgx/v5/...", "github.com/pressly/goose/v3/...", "github.com/prometheus/client_golang/...",
			"golang.org/x/crypto/bcrypt",
		},
		why: "the store speaks SQL and knows no HTTP",
	},
	"bookstore/api": {
		ours:    []string{"bookstore", "bookstore/token"},
		outside: []string{"github.com/prometheus/client_golang/...", "github.com/swaggest/swgui", "github.com/swaggest/swgui/v5emb"},
		why:     "the API speaks HTTP and gets its store as the domain's interface",
	},
	"bookstore/scrape": {
		outside: []string{"github.com/prometheus/client_model/go", "github.com/prometheus/common/..."},
		why:     "a page of metrics is read in one way, whoever asks; what they mean is the reader's",
	},
	"bookstore/storefront": {
		ours:    []string{"bookstore", "bookstore/scrape", "bookstore/token"},
		outside: []string{"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_model/go"},
		why:     "pages get their data as the domain's interfaces, like the API, and read weir's metrics with Prometheus' own parser",
	},
	"bookstore/fleet": {
		outside: []string{"github.com/prometheus/client_golang/...", "github.com/prometheus/client_model/go", "github.com/prometheus/common/..."},
		why:     "several processes on one listener are the same for every server; it knows nothing of the shop",
	},
	"bookstore/load": {
		outside: []string{"github.com/HdrHistogram/hdrhistogram-go"},
		why:     "the load generator knows addresses, not the application behind them",
	},
	"bookstore/report": {
		ours: []string{"bookstore/load"}, outside: []string{"gonum.org/v1/plot/..."},
		why: "a report is made from measured figures alone; gonum's plot draws its charts",
	},
	"bookstore/compare": {
		ours:    []string{"bookstore/load", "bookstore/report", "bookstore/scrape", "internal/child", "internal/pgserver"},
		outside: []string{"github.com/jackc/pgx/v5/...", "github.com/prometheus/client_model/go"},
		why: "the comparison starts programs and measures them from outside: like any user it reaches bookstore and weir through " +
			"the network only, and reads weir's metrics with Prometheus' own parser",
	},

	"deploy": {
		why: "it is files for other programs; its tests hold them to what those programs have",
	},
	"internal/arch": {
		why: "it reads source and runs nothing",
	},
	"internal/child": {
		why: "support for whoever starts programs, so it depends on nothing",
	},
	"internal/generationtest": {
		ours: []string{"config", "proxy/generation"},
		why:  "support for the tests of what follows a generation, so it depends on that alone",
	},
	"internal/faultnet": {
		why: "support for every test, so it depends on nothing",
	},
	"internal/manpage": {
		outside: []string{"github.com/alecthomas/kong"},
		why:     "support for the tests that write the manual pages; it knows the form of a page and none of its contents",
	},
	"internal/pgserver": {
		ours: []string{"internal/child"}, outside: []string{"github.com/jackc/pgx/v5/..."},
		why: "support for every test, so of ours it depends only on what starts its server",
	},
	"internal/weirtest": {
		ours: []string{"internal/child", "internal/pgserver"}, outside: []string{"github.com/jackc/pgx/v5/..."},
		why: "tests of those who use weir run it as a program; linking it would prove nothing",
	},
	"internal/browsertest": {
		outside: []string{"github.com/chromedp/..."},
		why:     "support for the tests of pages, so it depends on nothing of ours",
	},
	"internal/testca": {
		why: "support for every test, so it depends on nothing",
	},
	"internal/bench": {
		ours:    []string{"internal/child", "internal/pgserver", "internal/testca"},
		outside: []string{"github.com/HdrHistogram/hdrhistogram-go", "github.com/jackc/pgproto3/v2", "github.com/jackc/pgx/v5/..."},
		why:     "benchmarks treat weir as they treat PgBouncer: a program with an address",
	},

	"cmd/weir": {
		ours: []string{"config", "config/pgbouncer", "proxy", "proxy/descriptors", "proxy/logline"}, outside: []string{"github.com/alecthomas/kong", "github.com/coreos/go-systemd/v22/...", "golang.org/x/sys/unix"},
		why: "the command reads flags and a Config, and starts the proxy; the rest is the proxy's",
	},
	"cmd/bookstore": {
		ours: []string{
			"bookstore", "bookstore/api", "bookstore/compare", "bookstore/fleet", "bookstore/load", "bookstore/report",
			"bookstore/store", "bookstore/storefront", "bookstore/token", "internal/pgserver",
		},
		outside: []string{"github.com/alecthomas/kong", "github.com/prometheus/client_golang/..."},
		why:     "the demo meets weir as users do, as a program; linking it would prove nothing",
	},
	"cmd/weirbench": {
		ours: []string{"internal/bench"}, outside: []string{"github.com/alecthomas/kong"},
		why: "flags around internal/bench",
	},
}
