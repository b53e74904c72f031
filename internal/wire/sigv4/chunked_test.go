package sigv4

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// AWS's published example of a chunked upload: 66,560 times 'a' in chunks of 64 KiB.
const (
	exampleSeed  = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	exampleChunk = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
	exampleTail  = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
	exampleEnd   = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
)

func exampleUpload(t testing.TB, body string) (*Body, error) {
	r := request(t, "PUT /examplebucket/chunkObject.txt", body, "Host:s3.amazonaws.com", "X-Amz-Date:20130524T000000Z",
		"X-Amz-Storage-Class:REDUCED_REDUNDANCY", "X-Amz-Content-Sha256:"+streamSigned, "Content-Encoding:aws-chunked",
		"X-Amz-Decoded-Content-Length:66560", "Content-Length:66824")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"+
		"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature="+exampleSeed)
	v := &Verifier{Keys: oneKey(s3Key), Now: at("20130524T000000Z")}
	_, b, err := v.Verify(r)
	return b, err
}

func TestPublishedChunkedUpload(t *testing.T) {
	first, second := strings.Repeat("a", 65536), strings.Repeat("a", 1024)
	chunk1 := "10000;chunk-signature=" + exampleChunk + "\r\n" + first + "\r\n"
	chunk2 := "400;chunk-signature=" + exampleTail + "\r\n" + second + "\r\n"
	end := "0;chunk-signature=" + exampleEnd + "\r\n\r\n"
	b, err := exampleUpload(t, chunk1+chunk2+end)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(iotest.OneByteReader(b.Reader))
	if err != nil || string(got) != first+second {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for name, wire := range map[string]string{
		"nothing":         "",
		"no end":          chunk1 + chunk2,
		"cut in a chunk":  chunk1 + chunk2[:500],
		"cut in a line":   chunk1 + chunk2[:20],
		"first missing":   chunk2 + end,
		"only the end":    end,
		"reordered":       chunk2 + chunk1 + end,
		"repeated":        chunk1 + chunk1 + chunk2 + end,
		"byte changed":    strings.Replace(chunk1, "aaa", "aba", 1) + chunk2 + end,
		"signature":       strings.Replace(chunk1, "ad80", "ad81", 1) + chunk2 + end,
		"size smaller":    strings.Replace(chunk1, "10000", "0ffff", 1) + chunk2 + end,
		"size larger":     strings.Replace(chunk1, "10000", "10001", 1) + chunk2 + end,
		"size huge":       strings.Replace(chunk1, "10000", "ffffffffffffffff", 1) + chunk2 + end,
		"size negative":   strings.Replace(chunk1, "10000", "-1", 1) + chunk2 + end,
		"no signature":    strings.Replace(chunk1, ";chunk-signature="+exampleChunk, "", 1) + chunk2 + end,
		"more behind":     chunk1 + chunk2 + end + "x",
		"trailer behind":  chunk1 + chunk2 + end[:len(end)-2] + "x-amz-checksum-crc32:AAAA\r\n\r\n",
		"end signature":   chunk1 + chunk2 + strings.Replace(end, "b6c6", "b6c7", 1),
		"endless line":    "10000;" + strings.Repeat("x", 1<<20),
		"plain, unsigned": first + second,
	} {
		b, err := exampleUpload(t, wire)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, b.Reader); err == nil {
			t.Errorf("%s: accepted with %d bytes", name, n)
		}
	}
}

// signedUpload signs a chunked body the way clients do, independently of the reader.
func signedUpload(t testing.TB, mode string, chunks []string, trailer string) (head []string, auth string, body string) {
	t.Helper()
	length := 0
	for _, c := range chunks {
		length += len(c)
	}
	r := request(t, "PUT /b/k", "", "Host:h", "X-Amz-Decoded-Content-Length:"+strconv.Itoa(length))
	head = []string{"Host:h", "X-Amz-Decoded-Content-Length:" + strconv.Itoa(length), "X-Amz-Content-Sha256:" + mode, "X-Amz-Date:20130524T000000Z"}
	if trailer != "" {
		name, _, _ := strings.Cut(trailer, ":")
		r.Header.Set("X-Amz-Trailer", name)
		head = append(head, "X-Amz-Trailer:"+name)
	}
	Sign(r, mode, s3Key, "s3", "us-east-1", at("20130524T000000Z")())
	auth = r.Header.Get("Authorization")
	_, seed, _ := strings.Cut(auth, "Signature=")
	key := signingKey(s3Key.Secret, "20130524", "us-east-1", "s3")
	const scope = "20130524/us-east-1/s3/aws4_request"
	link := func(kind string, parts ...string) string {
		s := sign(&key, []byte("AWS4-HMAC-SHA256-"+kind+"\n20130524T000000Z\n"+scope+"\n"+seed+"\n"+strings.Join(parts, "\n")))
		seed = string(s[:])
		return seed
	}
	var b strings.Builder
	for _, c := range append(chunks, "") {
		ext := ""
		if mode != streamUnsignedTrailer {
			ext = ";chunk-signature=" + link("PAYLOAD", EmptyHash, HashBody([]byte(c)))
		}
		fmt.Fprintf(&b, "%x%s\r\n", len(c), ext)
		if c != "" {
			b.WriteString(c + "\r\n")
		}
	}
	if trailer != "" {
		b.WriteString(trailer + "\r\n")
		if mode == streamSignedTrailer {
			b.WriteString("x-amz-trailer-signature:" + link("TRAILER", HashBody([]byte(trailer+"\n"))) + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return head, auth, b.String()
}

func TestTrailers(t *testing.T) {
	v := &Verifier{Keys: oneKey(s3Key), Now: at("20130524T000000Z")}
	read := func(head []string, auth, body string) (string, *Body, error) {
		r := request(t, "PUT /b/k", body, head...)
		r.Header.Set("Authorization", auth)
		_, b, err := v.Verify(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b.Reader)
		return string(got), b, err
	}
	for mode, want := range map[string]Mode{streamSignedTrailer: SignedTrailer, streamUnsignedTrailer: UnsignedTrailer} {
		head, auth, body := signedUpload(t, mode, []string{"hello ", "world"}, "x-amz-checksum-crc32:DUoRhQ==")
		got, b, err := read(head, auth, body)
		if err != nil || got != "hello world" || b.Trailer().Get("x-amz-checksum-crc32") != "DUoRhQ==" || b.Mode != want || b.DecodedLength != 11 {
			t.Errorf("%s: %q %v %v", mode, got, b.Trailer(), err)
		}
		// The checksum is not announced by the request: it may not appear.
		headLess := head[:len(head)-1]
		if mode == streamUnsignedTrailer {
			r := request(t, "PUT /b/k", "", headLess...)
			Sign(r, mode, s3Key, "s3", "us-east-1", at("20130524T000000Z")())
			if _, _, err := read(headLess, r.Header.Get("Authorization"), body); err == nil {
				t.Error("a trailer nobody announced was taken")
			}
		}
		for name, bad := range map[string]string{
			"trailer changed": strings.Replace(body, "DUoRhQ", "DUoRhR", 1),
			"trailer missing": strings.Replace(body, "x-amz-checksum-crc32:DUoRhQ==\r\n", "", 1),
			"trailer twice":   strings.Replace(body, "x-amz-checksum-crc32:DUoRhQ==\r\n", "x-amz-checksum-crc32:DUoRhQ==\r\nx-amz-checksum-crc32:DUoRhQ==\r\n", 1),
			"no end":          strings.TrimSuffix(body, "\r\n"),
			"chunk longer":    strings.Replace(body, "world", "worlds", 1),
			"chunk shorter":   strings.Replace(body, "world", "worl", 1),
		} {
			if mode == streamUnsignedTrailer && name == "trailer changed" {
				continue // the checksum itself says so, to whoever compares it
			}
			if _, _, err := read(head, auth, bad); err == nil {
				t.Errorf("%s, %s: accepted", mode, name)
			}
		}
	}
}

func TestHashedBodyEndsInAFault(t *testing.T) {
	r := request(t, "PUT /b/k", "hello", "Host:h")
	Sign(r, HashBody([]byte("hello")), s3Key, "s3", "us-east-1", at("20130524T000000Z")())
	r.Body = io.NopCloser(strings.NewReader("hullo"))
	_, b, err := (&Verifier{Keys: oneKey(s3Key), Now: at("20130524T000000Z")}).Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b.Reader); codeOf(err) != CodeBodyHash {
		t.Errorf("got %v", err)
	}
	if _, err := b.Reader.Read(make([]byte, 1)); codeOf(err) != CodeBodyHash {
		t.Errorf("a second read forgets the fault: %v", err)
	}
}

func FuzzChunkReader(f *testing.F) {
	for _, mode := range []string{streamSigned, streamSignedTrailer, streamUnsignedTrailer} {
		trailer := "x-amz-checksum-crc32:DUoRhQ=="
		if mode == streamSigned {
			trailer = ""
		}
		_, _, body := signedUpload(f, mode, []string{"hello ", "world"}, trailer)
		f.Add([]byte(body), mode)
	}
	f.Fuzz(func(t *testing.T, body []byte, mode string) {
		if mode != streamSigned && mode != streamSignedTrailer && mode != streamUnsignedTrailer {
			return
		}
		trailer := "x-amz-checksum-crc32:DUoRhQ=="
		if mode == streamSigned {
			trailer = ""
		}
		head, auth, good := signedUpload(t, mode, []string{"hello ", "world"}, trailer)
		r := request(t, "PUT /b/k", string(body), head...)
		r.Header.Set("Authorization", auth)
		_, b, err := (&Verifier{Keys: oneKey(s3Key), Now: at("20130524T000000Z")}).Verify(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b.Reader)
		if err == nil && int64(len(got)) != b.DecodedLength {
			t.Fatalf("accepted %d bytes, announced %d", len(got), b.DecodedLength)
		}
		if err == nil && mode != streamUnsignedTrailer && string(got) != "hello world" {
			t.Fatalf("accepted %q for a body that was never signed", got)
		}
		if int64(len(got)) > b.DecodedLength {
			t.Fatalf("gave %d bytes of %d", len(got), b.DecodedLength)
		}
		if bytes.Equal(body, []byte(good)) && err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkChunkReader decodes an upload of 8 MiB in chunks of 64 KiB.
func BenchmarkChunkReader(b *testing.B) {
	var chunks []string
	for range 128 {
		chunks = append(chunks, strings.Repeat("a", 64<<10))
	}
	for _, mode := range []string{streamUnsignedTrailer, streamSigned} {
		b.Run(mode, func(b *testing.B) {
			head, auth, body := signedUpload(b, mode, chunks, "")
			v := &Verifier{Keys: oneKey(s3Key), Now: at("20130524T000000Z")}
			b.SetBytes(8 << 20)
			for b.Loop() {
				r := request(b, "PUT /b/k", body, head...)
				r.Header.Set("Authorization", auth)
				_, in, err := v.Verify(r)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, in.Reader); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
