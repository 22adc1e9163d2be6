package console

import (
	"strings"
	"testing"
)

func TestCommandsAreReadAsPgBouncerReadsThem(t *testing.T) {
	for text, want := range map[string]Command{
		"":                                   {},
		"-- ping":                            {},
		"show pools":                         {Verb: VerbShow, Arg: "POOLS"},
		"  SHOW \"stats\"  ":                 {Verb: VerbShow, Arg: "STATS"},
		"SHOW":                               {Verb: VerbShow},
		"select stats":                       {Verb: VerbShow, Arg: "STATS"},
		"SHOW TRANSACTION ISOLATION LEVEL":   {Verb: VerbShow, Arg: "TRANSACTION ISOLATION LEVEL"},
		"pause":                              {Verb: VerbPause},
		"Pause Shop":                         {Verb: VerbPause, Arg: "Shop"},
		`RESUME "my ""db"""`:                 {Verb: VerbResume, Arg: `my "db"`, Quoted: true},
		"kill_client 12":                     {Verb: VerbKillClient, Arg: "12"},
		"shutdown wait_for_clients":          {Verb: VerbShutdown, Arg: "WAIT_FOR_CLIENTS"},
		"SET query_timeout = 5":              {Verb: VerbSet, Arg: "query_timeout", Value: "5"},
		"set query_timeout to '0.5'":         {Verb: VerbSet, Arg: "query_timeout", Value: "0.5"},
		"set log_x=''":                       {Verb: VerbSet, Arg: "log_x"},
		"SET log.level = debug":              {Verb: VerbSet, Arg: "log.level", Value: "debug"},
		"SET timeouts.drain_timeout TO '1m'": {Verb: VerbSet, Arg: "timeouts.drain_timeout", Value: "1m"},
		"SET session = 1":                    {Verb: VerbSet, Arg: "session", Value: "1"},
		"SET client_encoding TO 'UTF8'":      {Verb: VerbFake, Tag: "SET"},
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": {Verb: VerbFake, Tag: "SET"},
		"SET DateStyle = ISO, DMY":                             {Verb: VerbFake, Tag: "SET"},
		"BEGIN":                                                {Verb: VerbFake, Tag: "BEGIN"},
		"start transaction read only":                          {Verb: VerbFake, Tag: "START TRANSACTION"},
		"DISCARD ALL":                                          {Verb: VerbFake, Tag: "DISCARD ALL"},
		"discard temporary":                                    {Verb: VerbFake, Tag: "DISCARD TEMP"},
		"CLOSE ALL":                                            {Verb: VerbFake, Tag: "CLOSE CURSOR ALL"},
		"UNLISTEN *":                                           {Verb: VerbFake, Tag: "UNLISTEN"},
		"deallocate prepare all":                               {Verb: VerbFake, Tag: "DEALLOCATE ALL"},
		"deallocate \"_pg3_0\"":                                {Verb: VerbFake, Tag: "DEALLOCATE", Arg: "_pg3_0"},
		"select version()":                                     {Verb: VerbSelect},
		"/* x */ RELOAD -- y":                                  {Verb: VerbReload},
	} {
		got, err := Parse(text)
		got.Text = ""
		if want.Tag == "SET" {
			got.Arg = ""
		}
		if err != nil || got != want {
			t.Errorf("%q is read as %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"SHOW A B":                         "invalid command 'SHOW A B', use SHOW HELP;",
		"pause a b":                        "invalid command 'pause a b', use SHOW HELP;",
		"PAUSE 'x'":                        "invalid command",
		"SUSPEND":                          "invalid command 'SUSPEND', use SHOW HELP;",
		"RELOAD now":                       "invalid command",
		"SET x":                            "invalid command",
		"SET x = 1.5":                      "invalid command",
		"SET x. = 1":                       "invalid command",
		"SET x.y.z = 1":                    "invalid command",
		"INSERT INTO t VALUES (1)":         "invalid command",
		"PAUSE \"x":                        "invalid command",
		"PAUSE " + strings.Repeat("x", 64): "bad arguments",
		strings.Repeat("x", 16) + " y":     "bad arguments",
		"SET x = '" + strings.Repeat("x", 256) + "'": "bad arguments",
		"SET " + strings.Repeat("x", 64) + " = 1":    "bad arguments",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Message, want) || err.Code != "08P01" {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestAQueryIsCutAtSemicolonsOutsideOfQuotesAndComments(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		" ; ;":                     "",
		"SHOW POOLS;":              "SHOW POOLS",
		"a; b ;c":                  "a|b|c",
		"SET x = 'a;b'; c":         "SET x = 'a;b'|c",
		"PAUSE \"a;b\"":            "PAUSE \"a;b\"",
		"-- a;b\nc":                "-- a;b\nc",
		"/* ; */; d":               "d",
		"SELECT 'it''s;'; SHOW ME": "SELECT 'it''s;'|SHOW ME",
	} {
		if got := strings.Join(split(text), "|"); got != want {
			t.Errorf("%q is cut into %q, want %q", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"SHOW POOLS;", "SET a = 'b''c'", "PAUSE \"x\"", "select version(), 1 AS one from pg_database", "/* x", "--", "select (((", "select a."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, part := range split(text) {
			c, err := Parse(part)
			if err == nil && len(c.Arg) > argMax {
				t.Errorf("%q has an argument of %d bytes", part, len(c.Arg))
			}
			asker{}.selected(part)
		}
	})
}

func TestWhatToolsAskFirstIsAnswered(t *testing.T) {
	a := asker{database: "pgbouncer", user: "boss", version: "PgBouncer 1.26.1", pid: 7}
	for text, want := range map[string]string{
		"SELECT 1":                              "?column?=1",
		"select version()":                      "version=PgBouncer 1.26.1",
		"SELECT current_database()":             "current_database=pgbouncer",
		"SELECT current_schema(),session_user":  "current_schema=pg_catalog session_user=boss",
		"SELECT pg_catalog.version() AS v, 'x'": "v=PgBouncer 1.26.1 ?column?=x",
		"SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'": "set_config=hex",
		"SELECT pg_backend_pid()":           "pg_backend_pid=7",
		"select pg_is_in_recovery() as rec": "rec=false",
		"SELECT db.oid as did, db.datname, db.datallowconn, pg_encoding_to_char(db.encoding) AS serverencoding, has_database_privilege(db.oid, 'CREATE') as cancreate, datistemplate FROM pg_catalog.pg_database db WHERE db.datname = current_database()": "did=0 datname=pgbouncer datallowconn=true serverencoding=UTF8 cancreate=true datistemplate=false",
		"SELECT roles.oid as id, roles.rolname as name, roles.rolsuper as is_superuser, CASE WHEN roles.rolsuper THEN true ELSE roles.rolcreaterole END as can_create_role FROM pg_catalog.pg_roles as roles WHERE rolname = current_user":                 "id=0 name=boss is_superuser=true can_create_role=false",
		"SELECT count(*) FROM pg_class":           "",
		"SELECT c.oid FROM pg_catalog.pg_class c": "",
		"SELECT pg_advisory_unlock_all()":         "pg_advisory_unlock_all=",
		"SELECT 1 + 1":                            "",
		"SELECT":                                  "",
	} {
		items, ok := a.selected(text)
		var got []string
		for _, i := range items {
			got = append(got, i.name+"="+asText(i.value))
		}
		if ok != (want != "") || ok && strings.Join(got, " ") != want {
			t.Errorf("%s: %v %t, want %s", text, got, ok, want)
		}
	}
}
