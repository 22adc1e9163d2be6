package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/pgserver"
)

// program runs bookstore as a process: its workers are the same program started again.
type program struct {
	*exec.Cmd
	ended chan error
	url   string
	log   string // the file that it writes to
}

func startProgram(t *testing.T, db *pgserver.Database, args ...string) *program {
	t.Helper()
	path := filepath.Join(build(t), "bookstore")
	p := &program{Cmd: exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...), ended: make(chan error, 1)}
	// The children inherit our end of a file, not of a pipe, so that Wait does not wait for theirs.
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout, p.Stderr, p.log = file, file, file.Name()
	p.Env = append(os.Environ(), "BOOKSTORE_DSN="+db.DSN())
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill() })
	eventually(t, func() string {
		b, _ := os.ReadFile(file.Name())
		found := listening.FindSubmatch(b)
		if found == nil {
			return "no address in: " + string(b)
		}
		p.url = "http://" + string(found[1])
		return ""
	})
	return p
}

// get asks on a connection of its own, which any worker may accept.
func get(url string) (body string, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%d %s", resp.StatusCode, b)
	}
	return string(b), err
}

// workers are the process IDs of a program's children.
func (p *program) workers(t *testing.T) (pids []int) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(p.Process.Pid)).Output()
	if err != nil && len(out) > 0 {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(string(out)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

var processLabel = regexp.MustCompile(`(?m)^bookstore_http_requests_in_flight\{process="(\d)"\}`)

// processes are those that show up in one scrape.
func processes(url string) (numbers []string) {
	text, err := get(url + "/metrics")
	if err != nil {
		return []string{err.Error()}
	}
	for _, m := range processLabel.FindAllStringSubmatch(text, -1) {
		numbers = append(numbers, m[1])
	}
	return numbers
}

func TestWorkersShareTheListenerAndAnyTellsOfAll(t *testing.T) {
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("needs ps")
	}
	db := pgserver.ForTest(t)
	p := startProgram(t, db, "--processes", "2", "--seed", "--users", "0")
	both := func() string {
		for range 4 { // whichever answers
			if got := processes(p.url); !slices.Equal(got, []string{"1", "2"}) {
				return fmt.Sprintf("a scrape shows the processes %v", got)
			}
		}
		return ""
	}
	eventually(t, both)
	if body, err := get(p.url + "/async_books/?limit=1"); err != nil || !strings.Contains(body, "Pride and Prejudice") {
		t.Errorf("%s, %v", body, err)
	}
	before := p.workers(t)
	if len(before) != 2 {
		t.Fatalf("workers %v, want two", before)
	}

	// One that ends by itself is replaced, and takes the other's metrics with it no more than its requests.
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if now := p.workers(t); len(now) != 2 || slices.Contains(now, before[0]) {
			return fmt.Sprintf("workers %v after the end of %d", now, before[0])
		}
		return both()
	})

	// A token of one is good for all: they have the same secret.
	resp, err := http.Post(p.url+"/users/", "application/json", strings.NewReader(`{"username": "mary", "password": "secret"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/profile/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token.Access)
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("profile: %d", resp.StatusCode)
		}
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	if _, err := get(p.url); err == nil {
		t.Error("somebody still serves")
	}
}

// A terminal's Ctrl-C and systemd's stop reach parent and workers alike.
func TestSignalToAllProcessesLetsRequestsEnd(t *testing.T) {
	db := pgserver.ForTest(t)
	p := startProgram(t, db, "--processes", "2")
	eventually(t, func() string {
		_, err := get(p.url + "/books/")
		return errorText(err)
	})
	lock, err := pgx.Connect(t.Context(), db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close(context.Background())
	if _, err := lock.Exec(t.Context(), "BEGIN; LOCK TABLE books"); err != nil {
		t.Fatal(err)
	}
	const requests = 8 // so that each worker has some
	answers := make(chan error, requests)
	for range requests {
		go func() {
			_, err := get(p.url + "/books/")
			answers <- err
		}()
	}
	eventually(t, func() string {
		var waiting int
		err := lock.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting)
		if err == nil && waiting < requests {
			return fmt.Sprint(waiting, " requests wait for the table")
		}
		return errorText(err)
	})

	// The workers first, so that what their parent tells them is always the second time.
	for _, pid := range p.workers(t) {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() string {
		b, err := os.ReadFile(p.log)
		if n := strings.Count(string(b), "requests under way may end"); n < 2 {
			return fmt.Sprintf("%d workers have heard it: %v", n, err)
		}
		return ""
	})
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			_ = conn.Close()
			return "somebody still listens"
		}
		return ""
	})
	if _, err := lock.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for range requests {
		if err := <-answers; err != nil {
			t.Errorf("a request under way: %v", err)
		}
	}
	if err := <-p.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWorkersEndWithTheirParent(t *testing.T) {
	db := pgserver.ForTest(t)
	p := startProgram(t, db, "--processes", "2")
	eventually(t, func() string {
		if got := processes(p.url); len(got) != 2 {
			return fmt.Sprint("processes ", got)
		}
		return ""
	})
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	eventually(t, func() string {
		if _, err := get(p.url + "/healthz"); err == nil {
			return "a worker still serves"
		}
		return ""
	})
}
