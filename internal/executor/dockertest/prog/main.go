// Command prog is what test containers run: each word of its arguments is done in turn.
//
//	echo=TEXT       prints TEXT
//	error=TEXT      prints TEXT to standard error
//	env=NAME        prints the variable
//	read=FILE       prints the file
//	write=FILE      writes "written" to it
//	await=FILE      waits until the file is there
//	upper           copies standard input to standard output in capitals
//	get=URL         prints the answer; with the variable AUTH as its authorization
//	serve=ADDRESS   answers "hello" there from now on
//	processes       prints how many processes there are
//	reach=ADDRESS   prints "reached" if something listens there, else why not
//	flood=MIB       prints so much in numbered lines of 64 bytes; before MiB number N it waits
//	                for the file $GATE/N
//	eat=MIB         takes so much memory
//	sleep=DURATION  sleeps
//	user            prints user and group
//	caps            prints the effective capabilities and no-new-privileges
//	limit           prints the limit of open files and of processes
//	exit=CODE       exits
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drover/internal/executor/docker/inside"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == inside.PauseCommand {
		inside.Pause()
		return
	}
	for _, word := range os.Args[1:] {
		do, arg, _ := strings.Cut(word, "=")
		if err := act(do, arg); err != nil {
			fmt.Fprintln(os.Stderr, "prog:", err)
			os.Exit(100)
		}
	}
}

func act(do, arg string) error {
	switch do {
	case "echo":
		fmt.Println(arg)
	case "error":
		fmt.Fprintln(os.Stderr, arg)
	case "env":
		fmt.Println(os.Getenv(arg))
	case "read":
		b, err := os.ReadFile(arg)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(b)
		return err
	case "write":
		return os.WriteFile(arg, []byte("written"), 0o644)
	case "await":
		await(arg)
	case "upper":
		b, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(bytes.ToUpper(b))
		return err
	case "get":
		return get(arg)
	case "serve":
		l, err := net.Listen("tcp", arg)
		if err != nil {
			return err
		}
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "hello") }))
		}()
	case "processes":
		found, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return err
		}
		fmt.Println(len(found))
	case "reach":
		c, err := net.DialTimeout("tcp", arg, 3*time.Second)
		if err != nil {
			fmt.Println(err)
			return nil
		}
		fmt.Println("reached")
		return c.Close()
	case "flood":
		return flood(arg)
	case "eat":
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		held := make([]byte, n<<20)
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		fmt.Println(len(held))
	case "sleep":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return err
		}
		time.Sleep(d)
	case "user":
		fmt.Printf("%d:%d\n", os.Getuid(), os.Getgid())
	case "caps":
		return lines("/proc/self/status", "CapEff:", "NoNewPrivs:")
	case "limit":
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			return err
		}
		fmt.Println(l.Cur, l.Max)
	case "exit":
		code, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		os.Exit(code)
	default:
		return fmt.Errorf("what is %q?", do)
	}
	return nil
}

func await(file string) {
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func flood(mib string) error {
	n, err := strconv.Atoi(mib)
	if err != nil {
		return err
	}
	for i := range n {
		await(filepath.Join(os.Getenv("GATE"), strconv.Itoa(i)))
		var b bytes.Buffer
		for k := range 1 << 14 {
			fmt.Fprintf(&b, "%063d\n", i<<14+k)
		}
		if _, err := os.Stdout.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func get(url string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if auth := os.Getenv("AUTH"); auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	_, err = io.Copy(os.Stdout, resp.Body)
	fmt.Println()
	return err
}

func lines(file string, starts ...string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		for _, s := range starts {
			if rest, ok := strings.CutPrefix(line, s); ok {
				fmt.Println(s, strings.TrimSpace(rest))
			}
		}
	}
	return nil
}
