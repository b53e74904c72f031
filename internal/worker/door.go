package worker

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"drover/internal/link"
)

const (
	// linkLocal is the address at which Amazon ECS serves containers. SDKs take credentials
	// over plain HTTP only from there and from loopback.
	linkLocal = "169.254.170.2"
	doorPort  = 4580
)

// door is where containers reach the API and their credentials: an address of this host
// that a container on a bridge of its own reaches through its gateway. Signed requests are
// passed on as they are; nothing of a worker's own protocol gets through. Without the right
// to add the address, the door is on loopback and containers share the host's network.
//
// It opens when the first container may come, and closes with the worker.
type door struct {
	dir    string
	grants *grants
	base   func() string // where the API is now
	roots  *x509.CertPool
	log    *slog.Logger

	mu      sync.Mutex // guards the rest
	srv     *http.Server
	proxy   *http.Transport
	address string
	local   bool // on loopback
	release func()
}

// open opens the door, unless it is open.
func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.srv != nil {
		return
	}
	host, release := "127.0.0.1", func() {}
	if !d.local {
		shared, giveBack, err := takeAddress()
		if err != nil {
			d.log.Warn("containers share the host's network: the address at which they find their credentials cannot be added",
				"address", linkLocal, "error", err)
			d.local = true
		} else {
			host, release = shared, giveBack
		}
	}
	l, err := d.listen(host)
	if err != nil {
		release()
		d.log.Error("containers cannot reach the API and their credentials", "error", err)
		return
	}
	d.address, d.release = "http://"+l.Addr().String(), release
	d.proxy = &http.Transport{
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, ExpectContinueTimeout: time.Second,
	}
	relay := d.relay()
	d.srv = &http.Server{
		Handler:           d.handler(relay),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          relay.ErrorLog,
	}
	srv := d.srv
	go func() { _ = srv.Serve(l) }() // ends with close
}

// relay passes requests on to the API as they were signed.
func (d *door) relay() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: d.proxy, FlushInterval: -1, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			to, err := url.Parse(d.base())
			if err == nil {
				r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			}
			r.Out.Host, r.Out.URL.RawQuery = r.In.Host, r.In.URL.RawQuery // they are signed as they are
		},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			refuse(rw, http.StatusServiceUnavailable, "the server does not answer: "+err.Error())
		},
	}
}

// listen takes the port that this worker had before, so that running containers still
// find it; else the one that is usual; else any.
func (d *door) listen(host string) (net.Listener, error) {
	file := filepath.Join(d.dir, "door.port")
	text, _ := os.ReadFile(file) // none: the first start
	had, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	ports := []int{had, doorPort, 0}
	if d.local { // the server itself may be there
		ports = []int{had, 0}
	}
	var l net.Listener
	var err error
	for i, port := range ports {
		if port == 0 && i+1 < len(ports) {
			continue
		}
		if l, err = net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if port := l.Addr().(*net.TCPAddr).Port; port != had {
		if err := writeFile(file, strconv.Itoa(port)+"\n"); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	return l, nil
}

func (d *door) handler(relay http.Handler) http.Handler {
	near := &nearby{}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case !near.has(r.RemoteAddr):
			refuse(rw, http.StatusForbidden, "only containers of this host are served here")
		case strings.HasPrefix(path, credentialsPath):
			d.grants.ServeHTTP(rw, r)
		case strings.HasPrefix(path, metadataPath):
			d.grants.serveMetadata(rw, r)
		case strings.HasPrefix(path, link.PathPrefix) || strings.HasPrefix(strings.ToLower(filepath.Clean("/"+path))+"/", link.PathPrefix):
			refuse(rw, http.StatusForbidden, "this is for workers, not for jobs")
		default:
			relay.ServeHTTP(rw, r)
		}
	})
}

// url is where containers find the door.
func (d *door) url() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.address
}

// loopback reports whether only containers in the host's network reach the door.
func (d *door) loopback() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.local
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.srv == nil {
		return
	}
	_ = d.srv.Close()
	d.proxy.CloseIdleConnections()
	d.release()
	d.srv = nil
}

// nearby knows the addresses of this host and of the bridges on it: a link-local address
// can also be reached from the host's own network, and nobody there has business here.
type nearby struct {
	mu    sync.Mutex // guards the rest
	nets  []netip.Prefix
	asked time.Time
}

const nearbyFor = 10 * time.Second

func (n *nearby) has(remote string) bool {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := a.Addr().Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.within(addr) {
		return true
	}
	if time.Since(n.asked) < nearbyFor/10 {
		return false
	}
	n.nets, n.asked = bridges(), time.Now()
	return n.within(addr)
}

func (n *nearby) within(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	if time.Since(n.asked) > nearbyFor {
		return false
	}
	for _, p := range n.nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// bridges lists this host's own addresses, each alone, and the networks of bridges that no
// network card is part of.
func bridges() []netip.Prefix {
	var out []netip.Prefix
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		whole := innerBridge(i.Name)
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			if !whole {
				p = netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
			}
			out = append(out, p.Masked())
		}
	}
	return out
}

// innerBridge reports whether an interface is a bridge and all of its ports are virtual.
func innerBridge(name string) bool {
	dir := filepath.Join("/sys/class/net", name)
	if _, err := os.Stat(filepath.Join(dir, "bridge")); err != nil {
		return false
	}
	ports, err := os.ReadDir(filepath.Join(dir, "brif"))
	if err != nil {
		return false
	}
	for _, p := range ports {
		if _, err := os.Stat(filepath.Join("/sys/class/net", p.Name(), "device")); err == nil {
			return false
		}
	}
	return true
}
