package worker_test

import (
	"context"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/executor"
	"drover/internal/executor/launcher"
	"drover/internal/executor/process"
	"drover/internal/link"
	"drover/internal/worker"
)

const patience = 30 * time.Second

// TestMain makes the test binary a launcher when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "launcher" && os.Args[2] == "--dir" {
		if err := launcher.Main(context.Background(), os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// manager is a link.Backend that a test drives by hand. It keeps what workers report as
// the real one does: events once by number, an exit once by lease.
type manager struct {
	mu       sync.Mutex
	wake     chan struct{}
	session  int
	seq      int64
	inbox    []link.Message
	hellos   []link.Hello
	logs     map[string][]string // stream → lines by number
	started  map[job.Lease]int
	address  map[job.Lease]string // as the start said
	exits    map[job.Lease][]job.Exit
	order    []string // what happened, for order checks
	refuse   map[job.Lease]string
	drop     map[job.Lease]bool
	down     bool // every call fails
	loseNext int  // so many reports are taken and then answered with an error
	creds    func(job.Lease) *link.Credentials
	staging  func(job.Lease) *link.Credentials // nil: none
	asked    int                               // credentials requests
	endpoint string
	twice    bool // each poll answers with everything again, whatever was acknowledged
}

func newManager() *manager {
	return &manager{
		wake: make(chan struct{}), logs: map[string][]string{}, started: map[job.Lease]int{}, address: map[job.Lease]string{}, exits: map[job.Lease][]job.Exit{},
		refuse: map[job.Lease]string{}, drop: map[job.Lease]bool{},
		creds: func(l job.Lease) *link.Credentials {
			return &link.Credentials{AccessKeyID: "ASIATEST", SecretAccessKey: "secret", SessionToken: fmt.Sprint("fence-", l.Fence), Expires: time.Now().Add(time.Hour).UnixMicro()}
		},
	}
}

var errDown = fault.New(fault.Unavailable, "Down", "the manager is down")

func (m *manager) current(session string) error {
	if m.down {
		return errDown
	}
	if session != strconv.Itoa(m.session) {
		return fault.New(fault.Conflict, link.CodeUnknownSession, "say hello")
	}
	return nil
}

func (m *manager) Hello(_ context.Context, h link.Hello) (link.Welcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return link.Welcome{}, errDown
	}
	m.session++
	m.seq = 0
	m.hellos = append(m.hellos, h)
	w := link.Welcome{Session: strconv.Itoa(m.session), HeartbeatEvery: 50, LeaseTTL: 30000, Region: "drover-1", Endpoint: m.endpoint}
	for _, l := range h.Held {
		if m.drop[l] {
			w.Drop = append(w.Drop, l)
		}
	}
	for i := range m.inbox { // numbers begin anew
		m.seq++
		m.inbox[i].Seq = m.seq
	}
	return w, nil
}

func (m *manager) Poll(ctx context.Context, p link.Poll) (link.Messages, error) {
	for {
		m.mu.Lock()
		if err := m.current(p.Session); err != nil {
			m.mu.Unlock()
			return link.Messages{}, err
		}
		var out []link.Message
		keep := m.inbox[:0]
		for _, msg := range m.inbox {
			if msg.Seq > p.Ack || m.twice {
				out = append(out, msg)
				keep = append(keep, msg)
			}
		}
		m.inbox = keep
		wake := m.wake
		fresh := len(out) > 0 && out[len(out)-1].Seq > p.Ack
		m.mu.Unlock()
		if fresh {
			return link.Messages{Session: p.Session, Messages: out}, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return link.Messages{}, ctx.Err()
		}
	}
}

func (m *manager) Report(_ context.Context, r link.Reports) (link.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.current(r.Session); err != nil {
		return link.Outcome{}, err
	}
	var out link.Outcome
	for _, c := range r.Logs {
		if code := m.refuse[c.Lease]; code != "" {
			out.Refused = append(out.Refused, link.Refusal{Lease: c.Lease, Code: code, Message: "refused"})
			continue
		}
		lines := m.logs[c.Stream]
		if int(c.First) > len(lines) {
			panic(fmt.Sprintf("stream %s: event %d came and %d is next", c.Stream, c.First, len(lines)))
		}
		for i, e := range c.Events {
			if n := int(c.First) + i; n == len(lines) {
				lines = append(lines, e.Text)
			}
		}
		m.logs[c.Stream] = lines
		m.order = append(m.order, fmt.Sprintf("log %d", c.Lease.Fence))
	}
	for _, rep := range r.Reports {
		if code := m.refuse[rep.Lease]; code != "" {
			out.Refused = append(out.Refused, link.Refusal{Lease: rep.Lease, Code: code, Message: "refused"})
			continue
		}
		if rep.Started {
			m.started[rep.Lease]++
			m.address[rep.Lease] = rep.Address
			m.order = append(m.order, fmt.Sprintf("started %d", rep.Lease.Fence))
		}
		if rep.Exit != nil {
			if len(m.exits[rep.Lease]) > 0 {
				out.Refused = append(out.Refused, link.Refusal{Lease: rep.Lease, Code: "AlreadySettled", Message: "known"})
			}
			m.exits[rep.Lease] = append(m.exits[rep.Lease], *rep.Exit)
			m.order = append(m.order, fmt.Sprintf("exit %d", rep.Lease.Fence))
		}
	}
	m.wakeAll()
	if m.loseNext > 0 {
		m.loseNext--
		return link.Outcome{}, errDown
	}
	return out, nil
}

func (m *manager) Heartbeat(_ context.Context, h link.Heartbeat) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current(h.Session)
}

func (m *manager) Credentials(_ context.Context, r link.CredentialsRequest) (link.CredentialsAnswer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.current(r.Session); err != nil {
		return link.CredentialsAnswer{}, err
	}
	m.asked++
	var a link.CredentialsAnswer
	for _, l := range r.Leases {
		a.Credentials = append(a.Credentials, m.creds(l))
		if m.staging != nil {
			a.Staging = append(a.Staging, m.staging(l))
		}
	}
	return a, nil
}

func (m *manager) wakeAll() {
	close(m.wake)
	m.wake = make(chan struct{})
}

// send puts a message into the worker's inbox.
func (m *manager) send(msg link.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	msg.Seq = m.seq
	m.inbox = append(m.inbox, msg)
	m.wakeAll()
}

// start gives the worker an assignment.
func (m *manager) start(a job.Assignment) {
	msg := link.Message{Start: &a, Credentials: m.creds(a.Lease)}
	if m.staging != nil {
		msg.Staging = m.staging(a.Lease)
	}
	m.send(msg)
}

// restart forgets the session, as a restarted manager does.
func (m *manager) restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session++
	m.wakeAll()
}

func (m *manager) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	m.wakeAll()
}

// is waits for a condition on what the manager knows.
func (m *manager) is(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		m.mu.Lock()
		yes, wake := ok(), m.wake
		m.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-wake:
		case <-time.After(50 * time.Millisecond): // conditions outside of the manager
		case <-deadline:
			m.mu.Lock()
			defer m.mu.Unlock()
			t.Fatalf("it never happened: %s\nlogs %q\nexits %+v\norder %q", what, m.logs, m.exits, m.order)
		}
	}
}

// exit waits for the end of an attempt.
func (m *manager) exit(t testing.TB, l job.Lease) job.Exit {
	t.Helper()
	m.is(t, fmt.Sprintf("the exit of fence %d", l.Fence), func() bool { return len(m.exits[l]) > 0 })
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.exits[l][0]
}

func (m *manager) lines(stream string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.logs[stream], "\n")
}

// rig is a manager behind real HTTP, an object store, and workers on one state folder.
type rig struct {
	t     testing.TB
	m     *manager
	s3    *bucket
	url   string
	dir   string
	tweak func(*worker.Options)

	exec  *process.Executor
	stop  context.CancelFunc
	done  chan error
	next  uint32
	ended bool
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, m: newManager(), s3: &bucket{objects: map[string][]byte{}}, dir: t.TempDir()}
	mux := http.NewServeMux()
	mux.Handle(link.PathPrefix, link.Handler(r.m, "token"))
	mux.Handle("/", r.s3)
	srv := httptest.NewServer(mux)
	r.url, r.m.endpoint = srv.URL, srv.URL
	t.Cleanup(func() {
		r.m.set(func() { r.m.down = false })
		r.end()
		srv.Close()
	})
	return r
}

// run starts a worker and waits until it joined.
func (r *rig) run() {
	r.t.Helper()
	r.m.mu.Lock()
	hellos := len(r.m.hellos)
	r.m.mu.Unlock()
	r.launch(worker.Keep)
	r.m.is(r.t, "the worker says hello", func() bool { return len(r.m.hellos) > hellos })
}

func (r *rig) launch(leave worker.Leave) {
	ctx, cancel := context.WithCancel(context.Background())
	r.exec = process.New(process.Options{Dir: r.dir, Exe: os.Args[0]})
	o := worker.Options{
		Dir: r.dir, Endpoint: r.url, Token: "token", Executor: r.exec,
		Capacity: resource.Vector{MilliVCPU: 2000, MemoryMiB: 1024}, StopGrace: 5 * time.Second, Path: "/usr/bin:/bin",
		Leave: func() worker.Leave { return leave },
	}
	if r.tweak != nil {
		r.tweak(&o)
	}
	done := make(chan error, 1)
	r.stop, r.done = cancel, done
	go func() { done <- worker.Run(ctx, o) }()
}

// halt stops the worker; its jobs run on.
func (r *rig) halt() error {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		r.done = nil
		return err
	case <-time.After(patience):
		r.t.Fatal("the worker did not stop")
		return nil
	}
}

// end stops the worker and ends the launcher.
func (r *rig) end() {
	if r.ended {
		return
	}
	r.ended = true
	if r.done != nil {
		if err := r.halt(); err != nil {
			r.t.Errorf("the worker ended with %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	x := process.New(process.Options{Dir: r.dir, Exe: os.Args[0]})
	if _, err := x.Adopt(ctx, deaf{}); err != nil {
		r.t.Errorf("adopting to end: %v", err)
		return
	}
	if err := x.Close(ctx, true); err != nil {
		r.t.Errorf("ending the launcher: %v", err)
	}
}

type deaf struct{}

func (deaf) Log(executor.ID, []byte, time.Time) {}

// assignment makes one that runs a script.
func (r *rig) assignment(script string, args ...string) job.Assignment {
	r.next++
	id, _ := job.ParseID("01234567-89ab-cdef-0123-456789abcdef")
	return job.Assignment{
		Lease: job.Lease{Ref: job.Ref{Key: 1, Index: int32(r.next)}, Attempt: 1, Fence: r.next},
		ID:    id, Name: "name", Queue: "queue", Environment: "local", Definition: "def:1", Image: process.Image,
		Command: append([]string{"/bin/sh", "-c", script, "sh"}, args...),
		Need:    resource.Vector{MilliVCPU: 500, MemoryMiB: 128}, Size: 1000,
		Log: fmt.Sprintf("def/default/%d", r.next),
	}
}

// idle waits until the worker says that it holds nothing.
func (r *rig) idle() {
	r.t.Helper()
	asked := 0
	r.m.is(r.t, "the worker holds nothing", func() bool {
		n := len(r.m.hellos)
		if n > asked && asked > 0 && len(r.m.hellos[n-1].Held) == 0 {
			return true
		}
		if n != asked {
			asked = n
			r.m.session++ // the worker must say hello again
			r.m.wakeAll()
		}
		return false
	})
}

// finish runs an assignment to its end.
func (r *rig) finish(a job.Assignment) (job.Exit, string) {
	r.t.Helper()
	r.m.start(a)
	x := r.m.exit(r.t, a.Lease)
	return x, r.m.lines(a.Log)
}

// bucket is an object store of one request at a time: PUT and GET of whole objects.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte // "bucket/key"
	tokens  []string          // session tokens seen
	fail    func(method, key string) int
	sent    int64 // bytes of contents
}

func (b *bucket) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
	if err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	b.tokens = append(b.tokens, r.Header.Get("X-Amz-Security-Token"))
	if b.fail != nil {
		if status := b.fail(r.Method, key); status != 0 {
			rw.WriteHeader(status)
			return
		}
	}
	switch r.Method {
	case http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		b.objects[key] = body
	case http.MethodGet:
		if r.URL.Query().Has("list-type") {
			b.list(rw, key, r.URL.Query().Get("prefix"))
			return
		}
		body, ok := b.objects[key]
		if !ok {
			rw.WriteHeader(http.StatusNotFound)
			_ = xml.NewEncoder(rw).Encode(struct {
				XMLName       xml.Name `xml:"Error"`
				Code, Message string
			}{Code: "NoSuchKey", Message: "The specified key does not exist."})
			return
		}
		etag := fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum(body)))
		rw.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
		b.sent += int64(len(body))
		_, _ = rw.Write(body)
	}
}

// list answers with all keys in one page.
func (b *bucket) list(rw http.ResponseWriter, bucket, prefix string) {
	type object struct {
		Key  string
		Size int
	}
	var page struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []object
	}
	for k, v := range b.objects {
		if key, ok := strings.CutPrefix(k, strings.TrimSuffix(bucket, "/")+"/"); ok && strings.HasPrefix(key, prefix) {
			page.Contents = append(page.Contents, object{key, len(v)})
		}
	}
	slices.SortFunc(page.Contents, func(a, b object) int { return strings.Compare(a.Key, b.Key) })
	_ = xml.NewEncoder(rw).Encode(page)
}

func (b *bucket) bytesSent() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}

func (b *bucket) put(key, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = []byte(text)
}

func (b *bucket) get(key string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.objects[key]
	return string(v), ok
}
