package s3

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"drover/internal/wire"
)

// level is what an operation addresses.
type level uint8

const (
	onService level = iota
	onBucket
	onObject
)

// operation is one line of the S3 API: how a request for it is recognised, and whether we
// serve it.
type operation struct {
	name    string
	method  string
	on      level
	sub     string // query parameter that selects it; "" = none of the others
	with    string // second query parameter that must be there
	copies  bool   // the x-amz-copy-source header selects it
	streams bool   // the body is object content, passed on as it arrives
	served  bool
	own     bool // answered by the front; the library does not have it
}

// operations lists the S3 API in the order of matching: sub-resources before bare paths.
// The names are those of the AWS SDK the build is pinned to; a test compares them.
var operations = []operation{
	{name: "GetBucketAnalyticsConfiguration", method: "GET", on: onBucket, sub: "analytics", with: "id"},
	{name: "GetBucketIntelligentTieringConfiguration", method: "GET", on: onBucket, sub: "intelligent-tiering", with: "id"},
	{name: "GetBucketInventoryConfiguration", method: "GET", on: onBucket, sub: "inventory", with: "id"},
	{name: "GetBucketMetricsConfiguration", method: "GET", on: onBucket, sub: "metrics", with: "id"},
	{name: "UploadPartCopy", method: "PUT", on: onObject, sub: "uploadId", copies: true, served: true},
	{name: "AbortMultipartUpload", method: "DELETE", on: onObject, sub: "uploadId", served: true},
	{name: "CompleteMultipartUpload", method: "POST", on: onObject, sub: "uploadId", served: true},
	{name: "CreateBucketMetadataConfiguration", method: "POST", on: onBucket, sub: "metadataConfiguration"},
	{name: "CreateBucketMetadataTableConfiguration", method: "POST", on: onBucket, sub: "metadataTable"},
	{name: "CreateMultipartUpload", method: "POST", on: onObject, sub: "uploads", served: true},
	{name: "CreateSession", method: "GET", on: onBucket, sub: "session"},
	{name: "DeleteBucketAnalyticsConfiguration", method: "DELETE", on: onBucket, sub: "analytics"},
	{name: "DeleteBucketCors", method: "DELETE", on: onBucket, sub: "cors", served: true},
	{name: "DeleteBucketEncryption", method: "DELETE", on: onBucket, sub: "encryption", served: true, own: true},
	{name: "DeleteBucketIntelligentTieringConfiguration", method: "DELETE", on: onBucket, sub: "intelligent-tiering"},
	{name: "DeleteBucketInventoryConfiguration", method: "DELETE", on: onBucket, sub: "inventory"},
	{name: "DeleteBucketLifecycle", method: "DELETE", on: onBucket, sub: "lifecycle", served: true, own: true},
	{name: "DeleteBucketMetadataConfiguration", method: "DELETE", on: onBucket, sub: "metadataConfiguration"},
	{name: "DeleteBucketMetadataTableConfiguration", method: "DELETE", on: onBucket, sub: "metadataTable"},
	{name: "DeleteBucketMetricsConfiguration", method: "DELETE", on: onBucket, sub: "metrics"},
	{name: "DeleteBucketOwnershipControls", method: "DELETE", on: onBucket, sub: "ownershipControls", served: true},
	{name: "DeleteBucketPolicy", method: "DELETE", on: onBucket, sub: "policy", served: true},
	{name: "DeleteBucketReplication", method: "DELETE", on: onBucket, sub: "replication"},
	{name: "DeleteBucketTagging", method: "DELETE", on: onBucket, sub: "tagging", served: true},
	{name: "DeleteBucketWebsite", method: "DELETE", on: onBucket, sub: "website", served: true},
	{name: "DeleteObjectAnnotation", method: "DELETE", on: onObject, sub: "annotation"},
	{name: "DeleteObjectTagging", method: "DELETE", on: onObject, sub: "tagging", served: true},
	{name: "DeleteObjects", method: "POST", on: onBucket, sub: "delete", served: true},
	{name: "DeletePublicAccessBlock", method: "DELETE", on: onBucket, sub: "publicAccessBlock"},
	{name: "GetBucketAbac", method: "GET", on: onBucket, sub: "abac"},
	{name: "GetBucketAccelerateConfiguration", method: "GET", on: onBucket, sub: "accelerate"},
	{name: "GetBucketAcl", method: "GET", on: onBucket, sub: "acl", served: true},
	{name: "GetBucketCors", method: "GET", on: onBucket, sub: "cors", served: true},
	{name: "GetBucketEncryption", method: "GET", on: onBucket, sub: "encryption", served: true, own: true},
	{name: "GetBucketLifecycleConfiguration", method: "GET", on: onBucket, sub: "lifecycle", served: true, own: true},
	{name: "GetBucketLocation", method: "GET", on: onBucket, sub: "location", served: true},
	{name: "GetBucketLogging", method: "GET", on: onBucket, sub: "logging"},
	{name: "GetBucketMetadataConfiguration", method: "GET", on: onBucket, sub: "metadataConfiguration"},
	{name: "GetBucketMetadataTableConfiguration", method: "GET", on: onBucket, sub: "metadataTable"},
	{name: "GetBucketNotificationConfiguration", method: "GET", on: onBucket, sub: "notification", served: true, own: true},
	{name: "GetBucketOwnershipControls", method: "GET", on: onBucket, sub: "ownershipControls", served: true},
	{name: "GetBucketPolicy", method: "GET", on: onBucket, sub: "policy", served: true},
	{name: "GetBucketPolicyStatus", method: "GET", on: onBucket, sub: "policyStatus", served: true},
	{name: "GetBucketReplication", method: "GET", on: onBucket, sub: "replication"},
	{name: "GetBucketRequestPayment", method: "GET", on: onBucket, sub: "requestPayment"},
	{name: "GetBucketTagging", method: "GET", on: onBucket, sub: "tagging", served: true},
	{name: "GetBucketVersioning", method: "GET", on: onBucket, sub: "versioning", served: true},
	{name: "GetBucketWebsite", method: "GET", on: onBucket, sub: "website", served: true},
	{name: "GetObjectAcl", method: "GET", on: onObject, sub: "acl", served: true},
	{name: "GetObjectAnnotation", method: "GET", on: onObject, sub: "annotation"},
	{name: "GetObjectAttributes", method: "GET", on: onObject, sub: "attributes", served: true},
	{name: "GetObjectLegalHold", method: "GET", on: onObject, sub: "legal-hold", served: true},
	{name: "GetObjectLockConfiguration", method: "GET", on: onBucket, sub: "object-lock", served: true},
	{name: "GetObjectRetention", method: "GET", on: onObject, sub: "retention", served: true},
	{name: "GetObjectTagging", method: "GET", on: onObject, sub: "tagging", served: true},
	{name: "GetObjectTorrent", method: "GET", on: onObject, sub: "torrent"},
	{name: "GetPublicAccessBlock", method: "GET", on: onBucket, sub: "publicAccessBlock"},
	{name: "ListBucketAnalyticsConfigurations", method: "GET", on: onBucket, sub: "analytics"},
	{name: "ListBucketIntelligentTieringConfigurations", method: "GET", on: onBucket, sub: "intelligent-tiering"},
	{name: "ListBucketInventoryConfigurations", method: "GET", on: onBucket, sub: "inventory"},
	{name: "ListBucketMetricsConfigurations", method: "GET", on: onBucket, sub: "metrics"},
	{name: "ListMultipartUploads", method: "GET", on: onBucket, sub: "uploads", served: true},
	{name: "ListObjectVersions", method: "GET", on: onBucket, sub: "versions", served: true},
	{name: "ListObjectsV2", method: "GET", on: onBucket, sub: "list-type", served: true},
	{name: "ListParts", method: "GET", on: onObject, sub: "uploadId", served: true},
	{name: "PutBucketAbac", method: "PUT", on: onBucket, sub: "abac"},
	{name: "PutBucketAccelerateConfiguration", method: "PUT", on: onBucket, sub: "accelerate"},
	{name: "PutBucketAcl", method: "PUT", on: onBucket, sub: "acl", served: true},
	{name: "PutBucketAnalyticsConfiguration", method: "PUT", on: onBucket, sub: "analytics"},
	{name: "PutBucketCors", method: "PUT", on: onBucket, sub: "cors", served: true},
	{name: "PutBucketEncryption", method: "PUT", on: onBucket, sub: "encryption", served: true, own: true},
	{name: "PutBucketIntelligentTieringConfiguration", method: "PUT", on: onBucket, sub: "intelligent-tiering"},
	{name: "PutBucketInventoryConfiguration", method: "PUT", on: onBucket, sub: "inventory"},
	{name: "PutBucketLifecycleConfiguration", method: "PUT", on: onBucket, sub: "lifecycle", served: true, own: true},
	{name: "PutBucketLogging", method: "PUT", on: onBucket, sub: "logging"},
	{name: "PutBucketMetricsConfiguration", method: "PUT", on: onBucket, sub: "metrics"},
	{name: "PutBucketNotificationConfiguration", method: "PUT", on: onBucket, sub: "notification", served: true, own: true},
	{name: "PutBucketOwnershipControls", method: "PUT", on: onBucket, sub: "ownershipControls", served: true},
	{name: "PutBucketPolicy", method: "PUT", on: onBucket, sub: "policy", served: true},
	{name: "PutBucketReplication", method: "PUT", on: onBucket, sub: "replication"},
	{name: "PutBucketRequestPayment", method: "PUT", on: onBucket, sub: "requestPayment"},
	{name: "PutBucketTagging", method: "PUT", on: onBucket, sub: "tagging", served: true},
	{name: "PutBucketVersioning", method: "PUT", on: onBucket, sub: "versioning", served: true},
	{name: "PutBucketWebsite", method: "PUT", on: onBucket, sub: "website", served: true},
	{name: "PutObjectAcl", method: "PUT", on: onObject, sub: "acl"},
	{name: "PutObjectAnnotation", method: "PUT", on: onObject, sub: "annotation"},
	{name: "PutObjectLegalHold", method: "PUT", on: onObject, sub: "legal-hold", served: true},
	{name: "PutObjectLockConfiguration", method: "PUT", on: onBucket, sub: "object-lock", served: true},
	{name: "PutObjectRetention", method: "PUT", on: onObject, sub: "retention", served: true},
	{name: "PutObjectTagging", method: "PUT", on: onObject, sub: "tagging", served: true},
	{name: "PutPublicAccessBlock", method: "PUT", on: onBucket, sub: "publicAccessBlock"},
	{name: "RenameObject", method: "PUT", on: onObject, sub: "renameObject"},
	{name: "RestoreObject", method: "POST", on: onObject, sub: "restore"},
	{name: "SelectObjectContent", method: "POST", on: onObject, sub: "select"},
	{name: "UpdateBucketMetadataAnnotationTableConfiguration", method: "PUT", on: onBucket, sub: "metadataAnnotationTable"},
	{name: "UpdateBucketMetadataInventoryTableConfiguration", method: "PUT", on: onBucket, sub: "metadataInventoryTable"},
	{name: "UpdateBucketMetadataJournalTableConfiguration", method: "PUT", on: onBucket, sub: "metadataJournalTable"},
	{name: "UpdateObjectEncryption", method: "PUT", on: onObject, sub: "encryption"},
	{name: "UploadPart", method: "PUT", on: onObject, sub: "uploadId", streams: true, served: true},
	{name: "CopyObject", method: "PUT", on: onObject, copies: true, served: true},
	{name: "CreateBucket", method: "PUT", on: onBucket, served: true},
	{name: "DeleteBucket", method: "DELETE", on: onBucket, served: true},
	{name: "DeleteObject", method: "DELETE", on: onObject, served: true},
	{name: "GetObject", method: "GET", on: onObject, served: true},
	{name: "HeadBucket", method: "HEAD", on: onBucket, served: true},
	{name: "HeadObject", method: "HEAD", on: onObject, served: true},
	{name: "ListBuckets", method: "GET", on: onService, served: true},
	{name: "ListObjects", method: "GET", on: onBucket, served: true},
	{name: "PutObject", method: "PUT", on: onObject, streams: true, served: true},
	// Never recognised by a path of S3's own: their hosts are other ones.
	{name: "ListDirectoryBuckets"},
	{name: "ListObjectAnnotations"},
	{name: "WriteGetObjectResponse"},
}

// Operations lists every S3 operation for the coverage page; those that are not built
// answer 501 NotImplemented and name themselves.
func Operations() []wire.Row {
	rows := make([]wire.Row, 0, len(operations))
	for _, op := range operations {
		row := wire.Row{Service: "s3", Operation: op.name, State: wire.NotBuilt}
		if op.served {
			row.State = wire.Built
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b wire.Row) int { return strings.Compare(a.Operation, b.Operation) })
	return rows
}

// recognise finds the operation of a request. Nil means S3 has none such.
func recognise(method string, on level, q url.Values, h http.Header) *operation {
	copies := h.Get("X-Amz-Copy-Source") != ""
	for i := range operations {
		op := &operations[i]
		if op.method != method || op.on != on || op.copies && !copies {
			continue
		}
		if (op.sub == "" || q.Has(op.sub)) && (op.with == "" || q.Has(op.with)) {
			return op
		}
	}
	return nil
}
