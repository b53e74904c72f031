// Package rig is what the benchmarks that drive a whole drover share: a drover of their own
// on loopback, and the calibrations by which its figures become ratios: S, the rate at which
// this machine starts `true`, and H, that of signed and durable requests over HTTP.
package rig

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Machine is a line that says what was measured on.
func Machine() string {
	load, _ := os.ReadFile("/proc/loadavg")
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("# %d cpus, Linux %s, %s, load %s", runtime.NumCPU(), strings.TrimSpace(string(release)), runtime.Version(), strings.TrimSpace(string(load)))
}

// Median of a list that is not empty.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

// Percentile of a list that is not empty.
func Percentile(v []float64, p float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[min(int(float64(len(v))*p/100), len(v)-1)]
}

// CPUOf is the CPU time that this process (syscall.RUSAGE_SELF) or those it has waited for
// (syscall.RUSAGE_CHILDREN) have used.
func CPUOf(who int) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(who, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Spawn measures S: the rate of `true` with its output in a pipe, two at a time, and the
// CPU that one costs.
func Spawn(n int) (perSecond float64, cpuMillis float64, err error) {
	path, err := exec.LookPath("true")
	if err != nil {
		return 0, 0, err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	cpu, start := CPUOf(syscall.RUSAGE_SELF)+CPUOf(syscall.RUSAGE_CHILDREN), time.Now()
	for range 2 {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				c := exec.Command(path)
				var out bytes.Buffer
				c.Stdout, c.Stderr = &out, &out
				if err := c.Run(); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, 0, *e
	}
	took := time.Since(start)
	used := CPUOf(syscall.RUSAGE_SELF) + CPUOf(syscall.RUSAGE_CHILDREN) - cpu
	return float64(n) / took.Seconds(), used.Seconds() * 1000 / float64(n), nil
}

// SubmitBody is the request that both H and drover's SubmitJob are measured with.
const SubmitBody = `{"jobName":"bench","jobQueue":"bench","jobDefinition":"bench","parameters":{"a":"1"},"containerOverrides":{"command":["sh","-c","wc -w < in > out"],"environment":[{"name":"A","value":"B"},{"name":"C","value":"D"}]}}`

// floor is the bare server of H: HTTP, JSON, one HMAC chain, one group-committed log.
type floor struct {
	key []byte
	log chan entry
}

type entry struct {
	body []byte
	done chan error
}

func sum(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func (f *floor) sign(method, path, host, date string, body []byte) string {
	hash := sha256.Sum256(body)
	canonical := method + "\n" + path + "\n\nhost:" + host + "\nx-amz-date:" + date + "\n\nhost;x-amz-date\n" + hex.EncodeToString(hash[:])
	c := sha256.Sum256([]byte(canonical))
	return hex.EncodeToString(sum(f.key, "AWS4-HMAC-SHA256\n"+date+"\n20260101/us-east-1/batch/aws4_request\n"+hex.EncodeToString(c[:])))
}

// write appends what has come in since the last sync, and syncs.
func (f *floor) write(file *os.File) {
	var buf []byte
	var waiting []chan error
	for e := range f.log {
		buf, waiting = append(buf[:0], e.body...), append(waiting[:0], e.done)
	gather:
		for len(waiting) < 8192 {
			select {
			case e := <-f.log:
				buf, waiting = append(buf, e.body...), append(waiting, e.done)
			default:
				break gather
			}
		}
		_, err := file.Write(buf)
		if err == nil {
			err = syscall.Fdatasync(int(file.Fd()))
		}
		for _, d := range waiting {
			d <- err
		}
	}
}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in struct {
		JobName, JobQueue, JobDefinition string
		Parameters                       map[string]string
		ContainerOverrides               struct {
			Command     []string
			Environment []struct{ Name, Value string }
		}
	}
	if err != nil || json.Unmarshal(body, &in) != nil || in.JobName == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !strings.HasSuffix(r.Header.Get("Authorization"), f.sign(r.Method, r.URL.Path, r.Host, r.Header.Get("X-Amz-Date"), body)) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	done := make(chan error, 1)
	f.log <- entry{body, done}
	if err := <-done; err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	var id [16]byte
	rand.Read(id[:])
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"jobId": hex.EncodeToString(id[:]), "jobName": in.JobName, "jobArn": "arn:aws:batch:us-east-1:000000000000:job/" + hex.EncodeToString(id[:])})
}

// HTTPFloor measures H: signed requests per second with n clients.
func HTTPFloor(dir string, n int, during time.Duration) (float64, error) {
	f := &floor{key: sum(sum(sum(sum([]byte("AWS4secret"), "20260101"), "us-east-1"), "batch"), "aws4_request"), log: make(chan entry, 65536)}
	file, err := os.Create(filepath.Join(dir, "floor.log"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	go f.write(file)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	srv := &http.Server{Handler: f}
	go func() { _ = srv.Serve(l) }()
	defer close(f.log)
	defer srv.Close()
	return Hammer(n, during, "http://"+l.Addr().String()+"/v1/submitjob", func(r *http.Request) {
		r.Header.Set("X-Amz-Date", "20260101T000000Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Signature="+f.sign("POST", "/v1/submitjob", r.URL.Host, "20260101T000000Z", []byte(SubmitBody)))
	})
}

// Hammer posts SubmitBody from n clients for a while and gives the rate of answers 200.
func Hammer(n int, during time.Duration, url string, sign func(*http.Request)) (float64, error) {
	end := time.Now().Add(during)
	return Post(n, url, func(int64) (string, bool) { return SubmitBody, time.Now().Before(end) }, func(r *http.Request, _ string) { sign(r) })
}

// AgainstH measures a rate with n clients between two measurements of H, and gives it, H
// and their ratio.
func AgainstH(dir string, n int, measure func() (float64, error)) (rate, h, ratio float64, err error) {
	before, err := HTTPFloor(dir, n, 2*time.Second)
	if err != nil {
		return 0, 0, 0, err
	}
	if rate, err = measure(); err != nil {
		return 0, 0, 0, err
	}
	after, err := HTTPFloor(dir, n, 2*time.Second)
	h = (before + after) / 2
	return rate, h, rate / h, err
}

// Post posts from n clients what next gives, until that says no, and gives the rate of
// answers 200; any other answer ends it. next is told how many came before.
func Post(n int, url string, next func(int64) (string, bool), sign func(*http.Request, string)) (float64, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	defer client.CloseIdleConnections()
	return Rate(n, func(i int64) error {
		body, more := next(i)
		if !more {
			return ErrEnough
		}
		return post(client, url, body, sign)
	})
}

// ErrEnough is what a load says to Rate when there is nothing more to do.
var ErrEnough = errors.New("enough")

// Rate calls do with 0, 1, … from n clients at once, until it says ErrEnough to each of them
// or anything else to one, and gives the calls a second that succeeded.
func Rate(n int, do func(i int64) error) (float64, error) {
	var next, done atomic.Int64
	var failed atomic.Pointer[error]
	start := time.Now()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for failed.Load() == nil {
				switch err := do(next.Add(1) - 1); err {
				case nil:
					done.Add(1)
				case ErrEnough:
					return
				default:
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, *e
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

func post(client *http.Client, url, text string, sign func(*http.Request, string)) error {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(text))
	if err != nil {
		return err
	}
	sign(r, text)
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}
