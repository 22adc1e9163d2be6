package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"weir/proxy/livepage"
	"weir/proxy/status"
)

// askHTTP is an answer of weir's HTTP; a token that is not "" is shown.
func askHTTP(t *testing.T, client *http.Client, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.SetBasicAuth("somebody", token)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestLivePageSaysWhoWaitsAndBehindWhom(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n[http]\naddress = \"127.0.0.1:0\"")
	holder := enter(t, w, d, "application_name", "report")
	holder.Query("BEGIN")
	holder.Query("CREATE TEMPORARY TABLE kept (id int)")
	waiter := enter(t, w, d, "application_name", "till")
	waiter.inBackground("SELECT 1")
	var v livepage.View
	eventually(t, func() string {
		code, text := askHTTP(t, http.DefaultClient, "http://"+w.Proxy.HTTPAddress()+"/live.json", "")
		v = livepage.View{}
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%d %v: %s", code, err, text)
		}
		if len(v.Waits) == 0 || len(v.Pins) == 0 || v.Waits[0].Behind == nil {
			return text
		}
		return ""
	})
	wait, pin := v.Waits[0], v.Pins[0]
	if wait.Who.Application != "till" || wait.Behind.Application != "report" || wait.Clients != 1 || wait.For <= 0 || wait.HeldFor < wait.For {
		t.Errorf("who waits behind whom: %+v, behind %+v", wait, wait.Behind)
	}
	if pid := holder.Query("SELECT pg_backend_pid()"); pid != fmt.Sprint(wait.Behind.Backend) || pid != fmt.Sprint(pin.Who.Backend) {
		t.Errorf("the backend is %s; the wait names %d, the pin %d", pid, wait.Behind.Backend, pin.Who.Backend)
	}
	if pin.Who.Application != "report" || !strings.Contains(pin.Statement, "TABLE kept") {
		t.Errorf("%+v", pin)
	}
	holder.Query("ROLLBACK")
	waiter.Answer()
}

// With a certificate HTTP speaks TLS only; the token follows a reload, and health needs none.
func TestHTTPHasTLSAndATokenThatFollowsReloads(t *testing.T) {
	d := database(t)
	dir := tlsFolder(t)
	const first, second = "the first of the tokens", "another-of-the-tokens"
	file := dir + "/token"
	toml := fmt.Sprintf("[http]\naddress = \"127.0.0.1:0\"\ncert_file = %q\nkey_file = %q\ntoken_file = %q\n", dir+"/weir.crt", dir+"/weir.key", file)
	write := func(token string) {
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(token, " ", "-")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first)
	w := startReloadable(t, d, toml)
	pem, err := os.ReadFile(dir + "/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	at := "https://" + w.Proxy.HTTPAddress()
	expect := func(path, token string, want int) {
		t.Helper()
		if code, text := askHTTP(t, client, at+path, strings.ReplaceAll(token, " ", "-")); code != want {
			t.Errorf("%s with %q: %d %s", path, token, code, text)
		}
	}
	expect("/live", first, http.StatusOK)
	expect("/live", "", http.StatusUnauthorized)
	expect("/metrics", second, http.StatusUnauthorized)
	expect("/healthz", "", http.StatusOK)
	expect("/readyz", "", http.StatusOK)
	if code, _ := askHTTP(t, http.DefaultClient, "http://"+w.Proxy.HTTPAddress()+"/live", first); code != http.StatusBadRequest {
		t.Errorf("without TLS: %d", code)
	}
	write(second)
	w.reload(toml)
	expect("/live", first, http.StatusUnauthorized)
	expect("/live", second, http.StatusOK)
	if w.Log.Contains(second) || w.Log.Contains(strings.ReplaceAll(first, " ", "-")) {
		t.Error("the log has a token")
	}
}

// A pool that could not be filled ends with its last client. What its server said is known yet, and nothing of a server that was not tried.
func TestLivePageKnowsAServerThatWasDownWhenItWasLastTried(t *testing.T) {
	d := database(t)
	w := start(t, d, fmt.Sprintf("[http]\naddress = \"127.0.0.1:0\"\n"+
		"[databases.away]\nhost = %q\n[databases.untried]\nhost = \"192.0.2.1\"", t.TempDir()))
	done := make(chan error)
	go func() {
		_, err := tryDial(t, w.Addr, d.Server.Superuser(), "away")
		done <- err
	}()
	expectPool(t, w, "in vain", func(p status.Pool) bool { return p.Totals.DialsFailed > 0 })
	w.hurry(t)
	refused(t, <-done, "08001")
	eventually(t, func() string {
		if n := len(w.Proxy.Snapshot().Pools); n != 0 {
			return fmt.Sprintf("%d pools are there yet", n)
		}
		return ""
	})
	_, text := askHTTP(t, http.DefaultClient, "http://"+w.Proxy.HTTPAddress()+"/live.json", "")
	var v livepage.View
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	of := map[string]livepage.Host{}
	for _, h := range v.Hosts {
		of[h.Database] = h
	}
	if away, untried := of["away"], of["untried"]; !away.Tried || away.Trouble == "" || untried.Tried || untried.Trouble != "" {
		t.Errorf("away %+v, untried %+v", away, untried)
	}
}
