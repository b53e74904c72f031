package wire

import (
	"net/http"
	"strconv"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/wire/sigv4"
)

// Codes that the layer itself answers with.
const (
	codeSerialization    = "SerializationException"
	codeUnknownOperation = "UnknownOperationException"
	codeNotImplemented   = "NotImplemented"
)

// Dress is the clothing of errors in one protocol.
type Dress uint8

// The dresses.
const (
	DressJSON  Dress = iota + 1 // x-amzn-ErrorType, __type and message
	DressQuery                  // <ErrorResponse>
	DressS3                     // <Error>
)

func (p Protocol) dress() Dress {
	if p == Query {
		return DressQuery
	}
	return DressJSON
}

// dressed is what one of the layer's own codes is called in the JSON and S3 dresses; the
// query spelling is the code itself unless given.
type dressed struct {
	code, json, s3, query string
	s3Status              int
}

// spellings are AWS's names for the same refusal.
func spelling(code string) (dressed, bool) {
	for _, d := range [...]dressed{
		{code: sigv4.CodeMissingToken, json: "MissingAuthenticationTokenException", s3: "AccessDenied"},
		{code: sigv4.CodeUnknownKey, json: "UnrecognizedClientException", s3: "InvalidAccessKeyId"},
		{code: sigv4.CodeExpiredToken, json: "ExpiredTokenException", s3: "ExpiredToken", s3Status: 400},
		{code: sigv4.CodeMismatch, json: "InvalidSignatureException", s3: "SignatureDoesNotMatch"},
		{code: sigv4.CodeIncomplete, json: "IncompleteSignatureException", s3: "AuthorizationHeaderMalformed", s3Status: 400},
		{code: sigv4.CodeSkewed, json: "InvalidSignatureException", s3: "RequestTimeTooSkewed", query: "SignatureDoesNotMatch"},
		{code: sigv4.CodeExpired, json: "InvalidSignatureException", s3: "AccessDenied", query: "SignatureDoesNotMatch"},
		{code: sigv4.CodeDenied, json: "AccessDeniedException", s3: "AccessDenied"},
		{code: sigv4.CodeBodyHash, json: "InvalidSignatureException", s3: "XAmzContentSHA256Mismatch", query: "SignatureDoesNotMatch", s3Status: 400},
		{code: codeSerialization, json: codeSerialization, s3: "MalformedXML", query: "MalformedQueryString"},
		{code: codeUnknownOperation, json: codeUnknownOperation, s3: "MethodNotAllowed", query: "InvalidAction"},
		{code: "InternalFailure", json: "InternalFailure", s3: "InternalError"},
	} {
		if d.code == code {
			return d, true
		}
	}
	return dressed{}, false
}

// spell gives code and status of a fault in a dress.
func spell(f *fault.Error, dress Dress) (code string, status int) {
	code, status = f.Code, f.HTTPStatus()
	if d, ok := spelling(code); ok {
		switch {
		case dress == DressJSON:
			code = d.json
		case dress == DressS3:
			code = d.s3
			if d.s3Status != 0 {
				status = d.s3Status
			}
		case d.query != "":
			code = d.query
		}
	}
	if code == "" {
		code = "InternalFailure"
	}
	return code, status
}

// WriteError answers a request with an error in a dress and returns the HTTP status.
// Anything but a fault becomes an InternalFailure without its text.
func WriteError(w http.ResponseWriter, r *http.Request, dress Dress, requestID string, err error) int {
	f := fault.From(err)
	code, status := spell(f, dress)
	var b []byte
	h := w.Header()
	switch dress {
	case DressQuery:
		h["Content-Type"] = []string{"text/xml"}
		who := "Sender"
		if status >= 500 {
			who = "Receiver"
		}
		b = append(b, "<ErrorResponse><Error><Type>"...)
		b = append(b, who...)
		b = append(b, "</Type><Code>"...)
		b = appendXMLText(b, code)
		b = append(b, "</Code><Message>"...)
		b = appendXMLText(b, f.Message)
		b = append(b, "</Message></Error><RequestId>"...)
		b = append(b, requestID...)
		b = append(b, "</RequestId></ErrorResponse>"...)
	case DressS3:
		h["Content-Type"] = []string{"application/xml"}
		h["X-Amz-Request-Id"] = []string{requestID}
		b = append(b, xmlHeader+"<Error><Code>"...)
		b = appendXMLText(b, code)
		b = append(b, "</Code><Message>"...)
		b = appendXMLText(b, f.Message)
		b = append(b, "</Message><Resource>"...)
		b = appendXMLText(b, r.URL.Path)
		b = append(b, "</Resource><RequestId>"...)
		b = append(b, requestID...)
		b = append(b, "</RequestId></Error>"...)
	default:
		if h["Content-Type"] == nil {
			h["Content-Type"] = []string{"application/json"}
		}
		h["X-Amzn-Errortype"] = []string{headerText(code)}
		b = append(b, `{"__type":`...)
		b = appendQuoted(b, code)
		b = append(b, `,"message":`...)
		b = appendQuoted(b, f.Message)
		b = append(b, '}')
	}
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // the client may be gone: nothing is left to tell it
	}
	return status
}

// headerText makes a text safe for a header.
func headerText(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '_'
		}
		return c
	}, s)
}
