package console

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"weir/proxy/status"
)

var update = flag.Bool("update", false, "rewrite testdata/columns.txt and docs/console.md")

const columnsFile = "testdata/columns.txt"

// The columns are a contract with PgBouncer's users: their names, types and order. The difference of this file is the review.
func TestColumnsAreThoseOfTheFile(t *testing.T) {
	var b strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&b, "%s (%d)\n", table.Name, len(table.Columns))
		for _, c := range table.Columns {
			fmt.Fprintf(&b, "\t%s %s\n", c.Name, c.Kind)
		}
	}
	golden(t, columnsFile, b.String())
}

func golden(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the tables; run go test ./proxy/console -update and read the difference", file)
	}
}

// What PgBouncer 1.26 has, written down by hand: names and the first letters of their types.
var pgbouncerColumns = map[string]string{
	"CLIENTS":        "type t user t database t replication t state t addr t port i local_addr t local_port i connect_time t request_time t wait i wait_us i close_needed i ptr t link t remote_pid i tls t application_name t prepared_statements i id i",
	"SERVERS":        "type t user t database t replication t state t addr t port i local_addr t local_port i connect_time t request_time t wait i wait_us i close_needed i ptr t link t remote_pid i tls t application_name t prepared_statements i id i",
	"SOCKETS":        "type t user t database t replication t state t addr t port i local_addr t local_port i connect_time t request_time t wait i wait_us i close_needed i ptr t link t remote_pid i tls t application_name t prepared_statements i id i recv_pos i pkt_pos i pkt_remain i send_pos i send_remain i pkt_avail i send_avail i",
	"ACTIVE_SOCKETS": "type t user t database t replication t state t addr t port i local_addr t local_port i connect_time t request_time t wait i wait_us i close_needed i ptr t link t remote_pid i tls t application_name t prepared_statements i id i recv_pos i pkt_pos i pkt_remain i send_pos i send_remain i pkt_avail i send_avail i",
	"POOLS":          "database t user t cl_active i cl_waiting i cl_active_cancel_req i cl_waiting_cancel_req i sv_active i sv_active_cancel i sv_being_canceled i sv_idle i sv_used i sv_tested i sv_login i maxwait i maxwait_us i pool_mode t load_balance_hosts t",
	"PEER_POOLS":     "peer_id i cl_active_cancel_req i cl_waiting_cancel_req i sv_active_cancel i sv_login i",
	"PEERS":          "peer_id i host t port i pool_size i",
	"DATABASES":      "name t host t port i database t force_user t pool_size i min_pool_size i reserve_pool_size i server_lifetime i pool_mode t load_balance_hosts t max_connections i current_connections i max_client_connections i current_client_connections i paused i disabled i",
	"USERS":          "name t pool_size t reserve_pool_size t pool_mode t max_user_connections i current_connections i max_user_client_connections i current_client_connections i",
	"LISTS":          "list t items i",
	"STATS":          "database t total_server_assignment_count n total_xact_count n total_query_count n total_received n total_sent n total_xact_time n total_query_time n total_wait_time n total_client_parse_count n total_server_parse_count n total_bind_count n total_client_login_count n avg_server_assignment_count n avg_xact_count n avg_query_count n avg_recv n avg_sent n avg_xact_time n avg_query_time n avg_wait_time n avg_client_parse_count n avg_server_parse_count n avg_bind_count n avg_client_login_count n",
	"STATS_TOTALS":   "database t server_assignment_count n xact_count n query_count n bytes_received n bytes_sent n xact_time n query_time n wait_time n client_parse_count n server_parse_count n bind_count n client_login_count n",
	"STATS_AVERAGES": "database t server_assignment_count n xact_count n query_count n bytes_received n bytes_sent n xact_time n query_time n wait_time n avg_client_parse_count n avg_server_parse_count n avg_bind_count n avg_client_login_count n",
	"TOTALS":         "name t value n",
	"CONFIG":         "key t value t default t changeable t",
	"MEM":            "name t size i used i free i memtotal i",
	"DNS_HOSTS":      "hostname t ttl q addrs t",
	"DNS_ZONES":      "zonename t serial q count i",
	"STATE":          "key t value t",
	"VERSION":        "version t",
}

func TestPgBouncersTablesHaveItsColumns(t *testing.T) {
	letters := map[Kind]string{Text: "t", Int: "i", Big: "q", Numeric: "n"}
	for name, want := range pgbouncerColumns {
		table, ok := find(name)
		if !ok || table.Own {
			t.Errorf("there is no SHOW %s of PgBouncer's", name)
			continue
		}
		var got []string
		for _, c := range table.Columns {
			got = append(got, c.Name, letters[c.Kind])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("SHOW %s has\n%s, want\n%s", name, strings.Join(got, " "), want)
		}
	}
	for _, table := range tables {
		if _, ok := pgbouncerColumns[table.Name]; !ok && !table.Own {
			t.Errorf("SHOW %s is no SHOW of PgBouncer's", table.Name)
		}
	}
}

func TestHelpNamesEveryShow(t *testing.T) {
	for _, table := range tables {
		if !strings.Contains(strings.NewReplacer("|", " ", "\n", " ").Replace(helpText)+" ", " "+table.Name+" ") {
			t.Errorf("SHOW HELP does not name %s", table.Name)
		}
	}
}

func TestAveragesAreOfTheLastWholePeriodAndSince(t *testing.T) {
	began := time.Unix(1000, 0)
	look := func(after time.Duration, xacts, xactSeconds uint64) *status.Snapshot {
		p := status.Pool{Database: "shop", User: "app", Number: 3}
		p.Totals.Transactions = xacts
		p.Transact.Sum = time.Duration(xactSeconds) * time.Second
		return &status.Snapshot{At: began.Add(after), Pools: []status.Pool{p}}
	}
	s := NewStats(began)
	at := func(now *status.Snapshot) (perSecond, usEach uint64) {
		rows, sum := s.rows(now, Usage{})
		if len(rows) != 2 || rows[0].database != "shop" || rows[1].database != consolePool || sum.total[transactions] != rows[0].total[transactions] {
			t.Fatalf("rows %+v, sum %+v", rows, sum)
		}
		return rows[0].average[transactions], rows[0].average[transactionTime]
	}
	if n, us := at(look(10*time.Second, 100, 50)); n != 10 || us != 500_000 {
		t.Errorf("in the first period: %d/s, %d us", n, us)
	}
	s.Sample(look(60*time.Second, 600, 60), Usage{})
	if n, _ := at(look(90*time.Second, 900, 60)); n != 10 {
		t.Errorf("in the second period: %d/s", n)
	}
	s.Sample(look(120*time.Second, 600, 60), Usage{}) // none in the second
	if n, us := at(look(150*time.Second, 1500, 60)); n != 10 || us != 0 {
		t.Errorf("in the third: %d/s, %d us, want 900 in 90 s", n, us)
	}
	if n, _ := at(look(150*time.Second, 10, 60)); n != 0 {
		t.Errorf("a pool that has fewer than before: %d/s", n)
	}
}

func TestNumbersInBinary(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 0 0 0 0 0 0 0", 1: "0 1 0 0 0 0 0 0 0 1", -12345: "0 2 0 1 64 0 0 0 0 1 9 41", 100000000: "0 3 0 2 0 0 0 0 0 1 0 0 0 0",
	} {
		if got := strings.Trim(fmt.Sprint(numeric(n)), "[]"); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
