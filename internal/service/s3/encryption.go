package s3

import (
	"encoding/xml"
	"net/http"
	"strings"

	"drover/internal/core/fault"
)

// Server-side encryption as clients see it. With a key file everything is encrypted, as on
// AWS, and every answer says so; without one nothing is, and a client that asks for it is
// refused rather than deceived.

const (
	encryptionHeader = "X-Amz-Server-Side-Encryption"
	ownEncryption    = "AES256"
)

// checkEncryption refuses what a request asks for and does not get.
func (s *Service) checkEncryption(h http.Header) error {
	for name := range h {
		if strings.HasPrefix(name, encryptionHeader+"-Customer-") || strings.HasPrefix(name, "X-Amz-Copy-Source-Server-Side-Encryption-Customer-") {
			return fault.New(fault.NotBuilt, "NotImplemented", "drover has no encryption with keys of the client (SSE-C). Start the server with --objects-key FILE to have all objects encrypted, or encrypt before you upload.")
		}
	}
	asked := h.Get(encryptionHeader)
	if h.Get(encryptionHeader+"-Aws-Kms-Key-Id") != "" && asked == "" {
		asked = "aws:kms"
	}
	return s.canEncrypt(asked)
}

func (s *Service) canEncrypt(asked string) error {
	switch asked {
	case "":
		return nil
	case ownEncryption:
		if s.vault.seal == nil {
			return fault.New(fault.NotBuilt, "NotImplemented", "This server keeps objects as they are: it was started without --objects-key FILE. Start it with one (and a new data folder), or ask for no encryption.")
		}
		return nil
	case "aws:kms", "aws:kms:dsse":
		return fault.New(fault.NotBuilt, "NotImplemented", "drover has no KMS: server-side encryption is AES256, with the server's key file.")
	}
	return fault.New(fault.Invalid, "InvalidArgument", "The encryption method specified is not supported.")
}

// tellEncryption says in an answer about content that it is encrypted.
func (s *Service) tellEncryption(in *call) {
	if s.vault.seal == nil || in.Response.StatusCode() >= 300 {
		return
	}
	switch in.operation {
	case "PutObject", "CopyObject", "GetObject", "HeadObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload":
		in.Response.Header.Set(encryptionHeader, ownEncryption)
	}
}

// encryptionConfiguration is a bucket's default encryption, as clients write it.
type encryptionConfiguration struct {
	XMLName xml.Name         `xml:"ServerSideEncryptionConfiguration"`
	NS      string           `xml:"xmlns,attr,omitempty"`
	Rules   []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default *struct {
		Algorithm string `xml:"SSEAlgorithm"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKey bool `xml:"BucketKeyEnabled"`
}

// getEncryption is what every bucket has: the server's.
func (s *Service) getEncryption() (*encryptionConfiguration, error) {
	if s.vault.seal == nil {
		return nil, withStatus(404, fault.New(fault.NotFound, "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found"))
	}
	c := &encryptionConfiguration{Rules: make([]encryptionRule, 1)}
	c.Rules[0].Default = &struct {
		Algorithm string `xml:"SSEAlgorithm"`
	}{ownEncryption}
	return c, nil
}

// checkEncryptionConfiguration takes a configuration that says what is the case.
func (s *Service) checkEncryptionConfiguration(doc []byte) error {
	var c encryptionConfiguration
	if err := xml.Unmarshal(doc, &c); err != nil || len(c.Rules) != 1 {
		return fault.New(fault.Invalid, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	if c.Rules[0].Default == nil {
		return s.canEncrypt(ownEncryption)
	}
	if c.Rules[0].Default.Algorithm == "" {
		return fault.New(fault.Invalid, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	return s.canEncrypt(c.Rules[0].Default.Algorithm)
}
