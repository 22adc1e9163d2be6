package pgerror

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
)

var update = flag.Bool("update", false, "rewrite docs/errors.md")

const docsFile = "../../docs/errors.md"

// entry is one row of docs/errors.md. name is the constructor or value; err an example of it, whose variable parts stand for
// themselves; when and do are the two sentences that a user needs.
type entry struct {
	name string
	err  *Error
	when string
	do   string
}

type chapter struct {
	title   string
	entries []entry
}

var wait = Wait{
	After: 2 * time.Minute, Pool: "shop/app", Leased: 20, Longest: 47 * time.Second, Holder: "nightly report",
	Setting: "pool_size", Value: 20, Section: "databases.shop",
}

var fullWait = Wait{
	After: 2 * time.Minute, Pool: "shop/app", Leased: 7, Longest: 47 * time.Second, Holder: "nightly report",
	Setting: "pool_size", Value: 20, Section: "databases.shop",
}

var pin = Pin{Reasons: "temporary object", Held: 90 * time.Second, Statement: "create temp table report (id int)"}

var catalogue = []chapter{
	{"Login", []entry{
		{"NoUserName", NoUserName, "The startup packet names no user.", "Give the driver a user."},
		{
			"WrongPassword", WrongPassword("app"),
			"The password is wrong, there is no such user, or what is stored for the user cannot serve the method that `[auth] type` asks for. Clients are not told which; weir's log says it.",
			"Look into weir's log.",
		},
		{
			"NoUserOfItsOwn", NoUserOfItsOwn("shop"), "`[auth] type` is `any`, and the database has no `user` to log in to the server as.", "See the hint.",
		},
		{
			"AuthenticationUnavailable", AuthenticationUnavailable,
			"The user is to be looked up with `auth_query`, and that failed: the server cannot be reached, `auth_user` cannot log in, or the query has an error.",
			"Look into weir's log. A retry is safe.",
		},
		{
			"AuthDatabaseDisabled", AuthDatabaseDisabled("users"),
			"The database where `auth_query` would look the user up is disabled on the admin console.",
			"ENABLE it.",
		},
		{
			"NoRule", NoRule(Peer{Host: "192.0.2.7", User: "app", Database: "shop"}), "No line of `hba_file` fits the client.",
			"Add a line to `hba_file`, or connect in a way that it foresees.",
		},
		{
			"RejectedByRule", RejectedByRule(Peer{Host: "192.0.2.7", User: "app", Database: "shop", TLS: true}),
			"The first line of `hba_file` that fits the client has the method `reject`.", "Look into weir's log for the line.",
		},
		{
			"PeerFailed", PeerFailed("app"), "The client's account on this machine is not the user, and no map lets it be.",
			"Look into weir's log for the account; add a line to `ident_file`.",
		},
		{"EmptyPassword", EmptyPassword, "The client sent an empty password.", "Give the driver a password."},
		{
			"EncryptionRequired", EncryptionRequired, "`sslmode` in `[client_tls]` demands TLS, and the client came without.",
			"See the hint.",
		},
		{"TLSTooOld", TLSTooOld("TLS 1.3"), "The database's `min_version` in `[client_tls]` is newer than what client and weir agreed on.", "Use a newer driver or TLS library."},
		{
			"CertificateRequired", CertificateRequired,
			"`sslmode` in `[client_tls]` demands a certificate of the client, and it showed none, or one that another authority than those in `ca_file` has issued.",
			"Give the driver a certificate (`sslcert`, `sslkey`).",
		},
		{
			"CertificateMismatch", CertificateMismatch("app"), "The client's certificate does not name the user that it wants to be. weir's log says what it names.",
			"Use the user's own certificate; see `cert_name` in `[auth]`.",
		},
		{"UnknownDatabase", UnknownDatabase("shop"), "An authenticated client asked for a database that weir does not have.", "See the hint."},
		{
			"LoginTimeout", LoginTimeout(time.Minute), "A client began its login and did not complete it in time. One that did not even send its startup packet is closed without a word.",
			"Look for a stuck client or a slow network; raise `client_login_timeout`.",
		},
		{"ShuttingDown", ShuttingDown, "A client connected while weir was draining.", "Connect again."},
		{"UnsupportedProtocol", UnsupportedProtocol(2, 0), "The client speaks protocol 2, or one that does not exist yet.", "Use a driver for PostgreSQL 7.4 or later."},
		{"InvalidReplication", InvalidReplication("x"), "The startup parameter `replication` is no boolean.", "See the hint."},
		{"InvalidOptions", InvalidOptions(`"-F" is not a setting`), "The startup parameter `options` (`PGOPTIONS`) holds another switch than `-c` or `--name`.", "See the hint."},
		{"UnknownSetting", UnknownSetting("no name"), "A startup parameter has a name that no setting can have.", "Correct the connection string."},
		{
			"InvalidSetting", InvalidSetting("work_mem", CodeProgramLimit, "is one too many: a session may carry 64"),
			"A startup parameter cannot be carried from backend to backend. The SQLSTATE tells why.", "Correct the connection string.",
		},
		{
			"SettingsRefused", SettingsRefused("22023", `invalid value for parameter "TimeZone": "x"`, "", ""),
			"The server did not take a startup parameter of this client. The SQLSTATE is the server's.", "Correct the connection string.",
		},
	}},
	{"No room", []entry{
		{"TooManyClients", TooManyClients(10000), "More clients than `max_client_conn`.", "See the hint."},
		{"TooFewDescriptors", TooFewDescriptors(1024), "The weir process may open no more files for clients.", "See the hint, and the warning in weir's log at its start."},
		{"TooManyDatabaseClients", TooManyDatabaseClients("shop", 500), "More clients of one database than `max_db_client_connections`.", "See the hint."},
		{"PreparedTextsTooLong", PreparedTextsTooLong(16 << 20), "A client's named prepared statements would take more of weir's memory than `max_prepared_bytes`.", "Deallocate statements that are no longer needed, or raise `max_prepared_bytes`."},
		{
			"PortalNameTooLong", PortalNameTooLong(16 << 10), "A Bind gives its portal a name of about 16 KiB or more. The session goes on.",
			"Use a shorter name: no driver makes such.",
		},
		{
			"PacketTooLong", PacketTooLong('B', 20<<20, 16<<20), "The client has sent a longer message than `max_packet_size` lets through.",
			"Send less at a time, or raise the setting.",
		},
		{
			"ResultTooLong", ResultTooLong('D', 20<<20, 16<<20), "The server has sent a longer message, mostly a row, than `max_packet_size` lets through.",
			"Ask for less at a time, or raise the setting.",
		},
		{
			"SimpleQueryRefused", SimpleQueryRefused, "The client has sent a simple query, and `simple_query` is false.",
			"Have the driver use the extended protocol.",
		},
		{
			"TooManyPinned", TooManyPinned("shop/app", 5, "create temp table basket (item int)", pin),
			"A statement would have the state of the session keep one more backend than `max_pinned`. Where its text does not show that, the client is disconnected after it, with the severity FATAL.",
			"End such state sooner; raise the setting. See docs/session-state.md.",
		},
		{"NotificationsNotTaken", NotificationsNotTaken(1 << 20), "A client that listens did not read, and more notifications than `max_notification_bytes` came for it.", "See the hint. What it may have missed is found in the database, as after any LISTEN."},
		{"TooManyUserClients", TooManyUserClients("app", 500), "More clients of one user than `max_user_client_connections`.", "See the hint."},
		{"NoBackend", NoBackend(wait), "A client waited for a backend for `query_wait_timeout`. After the login its session goes on, and only the requests that waited have failed.", "Find out which clients hold the backends, and for how long; raise the setting that the hint names. A retry is safe."},
		{"NoBackendAtFullServer", NoBackendAtFullServer(fullWait, "max_connections of the server"), "The same, where the server has let weir have no more backends. The limit is the server's: `max_connections`, or `CONNECTION LIMIT` of the role or the database.", "See the hint. A higher `pool_size` does not help. A retry is safe."},
		{"Paused", Paused(2*time.Minute, "shop/app"), "The same, while PAUSE holds on the admin console.", "Wait for the operator, who says RESUME. A retry is safe."},
	}},
	{"The server", []entry{
		{"Unreachable", Unreachable("db:5432", "connection refused"), "No connection to the server could be made.", "See that PostgreSQL runs and listens there. A retry is safe."},
		{
			"NoUse", NoUse(2 * time.Minute),
			"A client waited for `query_wait_timeout`, and each backend that was opened for it ended, or did not answer, before it could serve. After the login its session goes on.",
			"Find out why the server ends its connections or hangs. A retry is safe.",
		},
		{
			"NoSuitableServer", NoSuitableServer("primary", "db1:5432 is a standby"),
			"The servers answer, and none of them has the role that `target_session_attrs` wants. Clients wait for one for `query_wait_timeout`.",
			"Promote a server, or look at what keeps the failover. A retry is safe.",
		},
		{
			"ServerRefused", ServerRefused("db:5432", "57P03", "the database system is starting up"),
			"The server answered, but did not let weir in. The SQLSTATE is the server's.", "Look at the server's text. A retry is safe.",
		},
		{
			"ServerFull", ServerFull("db:5432", "sorry, too many clients already"),
			"The server is full, so that weir has no backend at all for the client, which has waited for `query_wait_timeout`.", "See the hint. A retry is safe.",
		},
		{
			"WrongTarget", WrongTarget("db:5432", "3D000", `database "shpo" does not exist`),
			"The server has no such database or role, or lets it not in. SQLSTATE and message are the server's.", "Correct the name in the connection string; for class 28 see the hint.",
		},
		{
			"NothingToLogInWith", NothingToLogInWith("db:5432", `the server asks for md5, and weir has no password of user "app"`),
			"The server asks weir for a password, or for a key, that weir does not have.", "See docs/authentication.md.",
		},
		{
			"ConnectQueryFailed", ConnectQueryFailed("db:5432", "ERROR: relation \"greeting\" does not exist (42P01)"),
			"The `connect_query` of the pool has failed on each new backend, so there is none.", "Mend the query; weir tries again by itself.",
		},
		{
			"BackendLost", BackendLost, "The backend ended in mid-query or in mid-transaction: it crashed, was terminated, or the network broke. If that was in the middle of a row, the connection ends without this error, so that no part of a row can be taken for a whole one.",
			"Connect again. Repeat the transaction only if repeating it does no harm.",
		},
		{"BackendLostInCopy", BackendLostInCopy, "The backend ended during a COPY.", "Connect again, look whether the rows are there, and repeat the COPY if not."},
		{"InDoubt", InDoubt, "weir could not tell any longer whose answer it was reading, and closed both sides rather than guess.", "Report it."},
		{
			"SequencesMixed", SequencesMixed,
			"The first `currval` or `lastval` of a pool's clients came amid a transaction that had drawn no value itself, or in one batch with other statements. [session-state.md](session-state.md#sequences) has more.",
			"Run the transaction again.",
		},
		{"Notice", Notice("maintenance begins at 22:00", ""), "A notice: the text of `login_notify_message`.", "What the text says."},
		{
			"Waiting", Waiting(NoBackend(Wait{Pool: "shop/app", Leased: 20, Longest: 47 * time.Second, Holder: "nightly report"})),
			"A notice: the client has waited for a backend for `query_wait_notify`. The detail is what the error would say if the wait failed now.",
			"Nothing: the wait goes on. What keeps others waiting is found as when a wait has failed.",
		},
		{"NotificationsMissed", NotificationsMissed, "A notice. The connection on which weir listens for the clients of a pool was lost; by now there is another one.", "Look for what has changed meanwhile, as after a LISTEN."},
		{"AdminShutdown", AdminShutdown, "weir stops, or an operator ended this client.", "Connect again."},
		{"DatabaseRemoved", DatabaseRemoved("shop"), "A reload of the configuration has taken the database away. Clients are told when they are in no transaction.", "Ask the operator."},
		{
			"BackendReplaced", BackendReplaced("pool"), "The session kept a backend that is to be replaced, and `server_fast_close` does not let it wait.",
			"Connect again.",
		},
		{"DatabaseChanged", DatabaseChanged("shop"), "A reload of the configuration has changed as whom weir logs in for the database. Clients are told when they are in no transaction.", "Connect again."},
		{"Canceled", Canceled, "The statement was cancelled while it waited for a backend.", "Nothing: the client asked for it."},
	}},
	{"Time limits", []entry{
		{"IdleTransactionTimeout", IdleTransactionTimeout(time.Minute), "The client did nothing inside a transaction.", "End transactions soon; raise the setting."},
		{"TransactionTimeout", TransactionTimeout(time.Minute), "A transaction lasted too long.", "Make it shorter; raise the setting."},
		{"QueryTimeout", QueryTimeout(time.Minute), "A statement ran for longer than `query_timeout`, and the server has cancelled it at weir's wish. The session lives on. weir's log has the user, the backend and how long it ran.", "Make it faster; raise the setting."},
		{"QueryNotCanceled", QueryNotCanceled(time.Minute), "A statement ran for longer than `query_timeout`, and did not end after the server was asked to cancel it.", "Make it faster; raise the setting; see why the server does not answer."},
		{"QueryTimeoutInQueue", QueryTimeoutInQueue(time.Minute), "Where PgBouncer's file is served: a client waited for a backend for longer than `query_timeout`.", "See what holds the backends, or why the server does not answer; raise the setting."},
		{"ClientIdleTimeout", ClientIdleTimeout(time.Hour), "The client sent nothing between transactions.", "Let the application's pool close idle connections first; raise the setting."},
		{
			"ClientStallTimeout", ClientStallTimeout(5 * time.Minute),
			"The client was being sent something and took nothing of it for `client_stall_timeout`. It seldom sees this error.",
			"Read results as they come, or fetch them in parts.",
		},
		{
			"ClientStopsAmidMessage", ClientStopsAmidMessage(5 * time.Minute),
			"The client had a backend, sent a message in part, and nothing more of it for `client_stall_timeout`: its program has stopped, or the network between.",
			"Find out why the program stopped; a driver sends a message in one go.",
		},
		{
			"PinIdleTimeout", PinIdleTimeout(time.Minute, pin),
			"The client was idle for `pin_idle_timeout` outside of a transaction while the state of its session kept a backend.",
			"End such state when it is no longer needed (`DROP TABLE`, `CLOSE`, `DISCARD ALL`); raise the setting.",
		},
	}},
	{"Use and protocol", []entry{
		{
			"SessionStateRefused", SessionStateRefused("SET", "SET work_mem = '64MB'"),
			"`session_state` is `reject`, and the text of the statement says that it changes the session.", "See the hint, and docs/session-state.md.",
		},
		{"StatementModeTransaction", StatementModeTransaction, "A client began a transaction block in a statement-mode pool.", "See the hint."},
		{"MissingTerminator", MissingTerminator, "A startup packet is malformed.", "Something that is not a PostgreSQL driver connects, or the driver has a bug."},
		{"UnencryptedData", UnencryptedData("SSL"), "Bytes came after a request for encryption, before it was answered.", "Look for a broken driver, or for a machine in between that changes what the client sends."},
		{"InvalidSASLMechanism", InvalidSASLMechanism, "The client chose an authentication mechanism that it was not offered.", "Report it to the driver."},
		{"MalformedSASL", MalformedSASL("The message is empty."), "An authentication message breaks the rules of SCRAM.", "Report it to the driver."},
		{
			"ChannelBindingRequired", ChannelBindingRequired, "`[auth] type` is `scram-sha-256-plus`, and the client came without TLS or does not know channel binding, or weir's certificate has a signature (Ed25519) that nothing can be bound to.",
			"See the hint; weir's log says which it was.",
		},
		{
			"ChannelBindingDenied", ChannelBindingDenied, "The client says that it was not offered channel binding, but it was.",
			"Look for a machine in between that changes what the client sends, or for a broken driver.",
		},
		{
			"ChannelBindingFailed", ChannelBindingFailed, "The login is bound to another TLS connection than the one that it came on.",
			"Look for a machine in between: a proxy that ends TLS in front of weir, or an attacker.",
		},
		{"UnsupportedChannelBinding", UnsupportedChannelBinding("tls-unique"), "The client binds its login in another way than PostgreSQL knows.", "Report it to the driver."},
		{"UnsupportedSASL", UnsupportedSASL("authorization identity"), "The client uses a part of SCRAM that PostgreSQL does not have either.", "Turn it off in the driver."},
		{"ProtocolViolation", ProtocolViolation("invalid password packet size", ""), "Any other breach of the protocol; the text says which.", "Report it to the driver."},
		{"UnexpectedMessage", UnexpectedMessage("password response", 'Q'), "Another message came than the one that was due.", "Report it to the driver."},
		{"InvalidMessageType", InvalidMessageType('?'), "A byte that begins no message.", "Report it to the driver."},
		{"InvalidMessageLength", InvalidMessageLength('Q', 3), "A length that cannot be.", "Report it to the driver."},
		{"MessageTooLong", MessageTooLong('p', 70000, 65535), "A message longer than PostgreSQL would take.", "Send less at once."},
		{"InvalidMessageBody", InvalidMessageBody('B'), "A message's fields are not complete.", "Report it to the driver."},
	}},
	{"The admin console", []entry{
		{"DatabaseDisabled", DatabaseDisabled("shop"), "A client connected to a database that an operator has disabled.", "`ENABLE` it on the console."},
		{"DatabaseKilled", DatabaseKilled, "An operator has said `KILL`: the client's connection was ended, whatever it did.", "Connect again; the database is paused until `RESUME`."},
		{"ClientKilled", ClientKilled, "An operator has ended this one client with `KILL_CLIENT`.", "Ask the operator."},
		{"ConsoleNotAllowed", ConsoleNotAllowed, "A user asked for the console who may not use it.", "Add the user to `admin_users` or `stats_users`."},
		{"ConsoleNoReplication", ConsoleNoReplication, "A client asked the console for replication.", "Name the database that is to be replicated."},
		{"TooManyConsoles", TooManyConsoles(64), "More clients of the console than weir serves at a time.", "See the hint."},
		{
			"Console", Console("invalid command 'SHOW ROOMS', use SHOW HELP;"), "A command of the console could not be carried out; the text, which is PgBouncer's, says why: see docs/console.md.",
			"See the text.",
		},
		{"ConsolePauseEnded", ConsolePauseEnded, "`PAUSE` waited for backends, and another operator ended the pause.", "Agree with the other operator; say `PAUSE` again."},
		{"ConsoleReloadFailed", ConsoleReloadFailed("weir.toml:3:1: unknown setting"), "`RELOAD` found a mistake in the configuration. All goes on as before.", "Mend what the detail says."},
		{"ConsoleSetFailed", ConsoleSetFailed("pool_size must be from 1 to 262143 (got 0)"), "`SET` of what is no setting, or has no such value.", "See the detail, and `SHOW CONFIG`."},
		{
			"ConsoleSyntax", ConsoleSyntax("cannot insert multiple commands into a prepared statement"), "A driver prepared several commands as one on the console.",
			"Send them one by one.",
		},
		{"ConsoleDuplicate", ConsoleDuplicate("prepared statement", "s1"), "A driver prepared a command on the console under a name that is taken.", "Report it to the driver."},
		{"ConsoleMissing", ConsoleMissing("prepared statement", "s1"), "A driver used a name on the console that means nothing.", "Report it to the driver."},
	}},
}

func render() string {
	var b strings.Builder
	b.WriteString("# Errors\n\nEvery error that weir itself sends to a client. All others are PostgreSQL's own and pass through unchanged.\n" +
		"Names, numbers and texts of others stand for examples. This file is generated: `go test ./proxy/pgerror -update`.\n")
	for _, c := range catalogue {
		fmt.Fprintf(&b, "\n## %s\n", c.title)
		for _, e := range c.entries {
			fmt.Fprintf(&b, "\n### %s: %s\n\n```\n%s:  %s\n", e.err.Code, e.err.Message, e.err.Severity, e.err.Message)
			if e.err.Detail != "" {
				fmt.Fprintf(&b, "DETAIL:  %s\n", e.err.Detail)
			}
			if e.err.Hint != "" {
				fmt.Fprintf(&b, "HINT:  %s\n", e.err.Hint)
			}
			fmt.Fprintf(&b, "```\n\n- When: %s\n- What to do: %s\n", e.when, e.do)
		}
	}
	return b.String()
}

func TestErrorsDocumentIsCurrent(t *testing.T) {
	want := render()
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/errors.md differs from what this package sends; run go test ./proxy/pgerror -update and read the difference")
	}
}

// TestEveryErrorIsDocumented reads the package's own source: whatever gives an *Error to others must have an entry.
func TestEveryErrorIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, c := range catalogue {
		for _, e := range c.entries {
			if documented[e.name] {
				t.Errorf("%s is documented twice", e.name)
			}
			documented[e.name] = true
		}
	}
	declared := declaredErrors(t)
	for name := range declared {
		if !documented[name] {
			t.Errorf("%s has no entry in the catalogue", name)
		}
	}
	for name := range documented {
		if !declared[name] {
			t.Errorf("the catalogue's %s does not exist", name)
		}
	}
}

func declaredErrors(t *testing.T) map[string]bool {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() && d.Type.Results != nil && isErrorPointer(d.Type.Results.List[0].Type) {
					declared[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					v, ok := s.(*ast.ValueSpec)
					if ok && d.Tok == token.VAR && v.Names[0].IsExported() {
						declared[v.Names[0].Name] = true
					}
				}
			}
		}
	}
	return declared
}

func isErrorPointer(e ast.Expr) bool {
	star, ok := e.(*ast.StarExpr)
	if !ok {
		return false
	}
	id, ok := star.X.(*ast.Ident)
	return ok && id.Name == "Error"
}

// TestTextsFollowTheStyleGuide holds every example to the rules that a machine can check.
func TestTextsFollowTheStyleGuide(t *testing.T) {
	sqlstate := regexp.MustCompile(`^[0-9A-Z]{5}$`)
	for _, c := range catalogue {
		for _, e := range c.entries {
			if !sqlstate.MatchString(e.err.Code) {
				t.Errorf("%s: %q is no SQLSTATE", e.name, e.err.Code)
			}
			m := e.err.Message
			if strings.HasSuffix(m, ".") || strings.ContainsRune(m, '\n') {
				t.Errorf("%s: the primary message is one line without a full stop: %q", e.name, m)
			}
			if first := []rune(m)[:2]; unicode.IsUpper(first[0]) && !unicode.IsUpper(first[1]) { // SCRAM stays SCRAM
				t.Errorf("%s: the primary message begins in lower case: %q", e.name, m)
			}
			for _, s := range []string{e.err.Detail, e.err.Hint, e.when, e.do} {
				if s != "" && (!strings.HasSuffix(s, ".") || unicode.IsLower([]rune(s)[0]) && !strings.HasPrefix(s, "weir")) {
					t.Errorf("%s: detail, hint and documentation are sentences: %q", e.name, s)
				}
			}
		}
	}
}
