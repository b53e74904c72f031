package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3response"
)

// A page of a thousand keys takes the library's encoder ten times as long as the database.
// So when the front asks for it, listings write their document themselves, and the front
// sends that in place of the library's.

// ownPage is the user value by which the front asks for a document, and where it is left.
const ownPage = "drover-page"

// leavePage gives the document of a listing to the front, if the front asked for one.
func leavePage(ctx context.Context, write func(p *pageWriter)) bool {
	request, ok := ctx.(*fasthttp.RequestCtx)
	if !ok || request.UserValue(ownPage) == nil {
		return false
	}
	p := &pageWriter{}
	p.buf.Grow(256 << 10)
	p.buf.WriteString(xml.Header)
	write(p)
	request.SetUserValue(ownPage, p.buf.Bytes())
	return true
}

// page is the document that was left, or nil.
func (c *call) page() []byte {
	p, _ := c.UserValue(ownPage).([]byte)
	return p
}

// pageWriter writes XML elements.
type pageWriter struct{ buf bytes.Buffer }

func (p *pageWriter) open(name string)  { p.buf.WriteString("<" + name + ">") }
func (p *pageWriter) close(name string) { p.buf.WriteString("</" + name + ">") }

// text writes an element; one that is nil is left out, like the library does.
func (p *pageWriter) text(name string, v *string) {
	if v == nil {
		return
	}
	p.open(name)
	if plainXML(*v) {
		p.buf.WriteString(*v)
	} else {
		_ = xml.EscapeText(&p.buf, []byte(*v)) // a buffer takes everything
	}
	p.close(name)
}

func plainXML(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '<', c == '>', c == '&', c == '"', c == '\'':
			return false
		}
	}
	return true
}

func (p *pageWriter) number(name string, v int64) {
	p.open(name)
	p.buf.Write(strconv.AppendInt(p.buf.AvailableBuffer(), v, 10))
	p.close(name)
}

func (p *pageWriter) boolean(name string, v *bool) {
	if v != nil {
		p.open(name)
		p.buf.Write(strconv.AppendBool(p.buf.AvailableBuffer(), *v))
		p.close(name)
	}
}

func (p *pageWriter) contents(list []s3response.Object) {
	for i := range list {
		o := &list[i]
		p.buf.WriteString("<Contents>")
		p.text("Key", o.Key)
		p.buf.WriteString("<LastModified>")
		p.buf.Write(o.LastModified.UTC().AppendFormat(p.buf.AvailableBuffer(), "2006-01-02T15:04:05.000Z"))
		p.buf.WriteString("</LastModified>")
		p.text("ETag", o.ETag)
		for _, a := range o.ChecksumAlgorithm {
			p.buf.WriteString("<ChecksumAlgorithm>" + string(a) + "</ChecksumAlgorithm>")
		}
		if o.ChecksumType != "" {
			p.buf.WriteString("<ChecksumType>" + string(o.ChecksumType) + "</ChecksumType>")
		}
		p.number("Size", *o.Size)
		if o.Owner != nil {
			p.open("Owner")
			p.text("DisplayName", o.Owner.DisplayName)
			p.text("ID", o.Owner.ID)
			p.close("Owner")
		}
		p.buf.WriteString("<StorageClass>" + string(o.StorageClass) + "</StorageClass></Contents>")
	}
}

func (p *pageWriter) prefixes(list []types.CommonPrefix) {
	for _, c := range list {
		p.open("CommonPrefixes")
		p.text("Prefix", c.Prefix)
		p.close("CommonPrefixes")
	}
}

const listing = `ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

func (p *pageWriter) encoding(e types.EncodingType) {
	if e != "" {
		p.buf.WriteString("<EncodingType>" + string(e) + "</EncodingType>")
	}
}

// orEmpty writes a prefix that is empty as an empty element, as AWS does.
func orEmpty(s *string) *string {
	if s == nil {
		return new(string)
	}
	return s
}

func (p *pageWriter) v2(r *s3response.ListObjectsV2Result) {
	p.open(listing)
	p.text("Name", r.Name)
	p.text("Prefix", orEmpty(r.Prefix))
	p.text("StartAfter", r.StartAfter)
	p.text("ContinuationToken", r.ContinuationToken)
	p.text("NextContinuationToken", r.NextContinuationToken)
	p.number("KeyCount", int64(*r.KeyCount))
	p.number("MaxKeys", int64(*r.MaxKeys))
	p.text("Delimiter", r.Delimiter)
	p.encoding(r.EncodingType)
	p.boolean("IsTruncated", r.IsTruncated)
	p.contents(r.Contents)
	p.prefixes(r.CommonPrefixes)
	p.close("ListBucketResult")
}

func (p *pageWriter) v1(r *s3response.ListObjectsResult) {
	p.open(listing)
	p.text("Name", r.Name)
	p.text("Prefix", orEmpty(r.Prefix))
	p.text("Marker", orEmpty(r.Marker))
	p.text("NextMarker", r.NextMarker)
	p.number("MaxKeys", int64(*r.MaxKeys))
	p.text("Delimiter", r.Delimiter)
	p.encoding(r.EncodingType)
	p.boolean("IsTruncated", r.IsTruncated)
	p.contents(r.Contents)
	p.prefixes(r.CommonPrefixes)
	p.close("ListBucketResult")
}
