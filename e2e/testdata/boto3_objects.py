"""The object store through boto3, with no option but what the environment says."""
import io
import os
import sys
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

s3 = boto3.client("s3")
B = sys.argv[1]


def code(call, **args):
    try:
        call(Bucket=B, **args)
    except ClientError as e:
        return e.response["Error"]["Code"]
    return "ok"


s3.create_bucket(Bucket=B, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

# Transfers in parts, of keys that are not paths.
big, key = os.urandom(20 << 20), "dir//../big ü+.bin"
parts = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20, max_concurrency=4)
s3.upload_fileobj(io.BytesIO(big), B, key, Config=parts, ExtraArgs={"Metadata": {"who": "me"}, "ContentType": "x/y"})
got = io.BytesIO()
s3.download_fileobj(B, key, got, Config=parts)
assert got.getvalue() == big
head = s3.head_object(Bucket=B, Key=key)
assert head["Metadata"] == {"who": "me"} and head["ContentType"] == "x/y" and head["ETag"].endswith('-3"'), head
assert s3.get_object(Bucket=B, Key=key, Range="bytes=8388600-8388700")["Body"].read() == big[8388600:8388701]
assert s3.get_object(Bucket=B, Key=key, PartNumber=2)["Body"].read() == big[8 << 20 : 16 << 20]
s3.copy({"Bucket": B, "Key": key}, B, "copy", Config=parts)
assert s3.get_object(Bucket=B, Key="copy")["Body"].read() == big

# Conditions.
s3.put_object(Bucket=B, Key="k", Body=b"1", IfNoneMatch="*")
assert code(s3.put_object, Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
etag = s3.head_object(Bucket=B, Key="k")["ETag"]
s3.put_object(Bucket=B, Key="k", Body=b"2", IfMatch=etag)
assert code(s3.put_object, Key="k", Body=b"3", IfMatch=etag) == "PreconditionFailed"
modified = s3.head_object(Bucket=B, Key="k")["LastModified"]
assert code(s3.head_object, Key="k", IfUnmodifiedSince=modified) == "ok"
assert code(s3.head_object, Key="k", IfModifiedSince=modified) == "304"

# Presigned, checksums, tags.
url = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "k"})
assert urllib.request.urlopen(url).read() == b"2"
for algorithm in ["CRC32", "SHA1", "SHA256"]:
    s3.put_object(Bucket=B, Key=algorithm, Body=b"hello", ChecksumAlgorithm=algorithm)
    out = s3.get_object(Bucket=B, Key=algorithm, ChecksumMode="ENABLED")
    assert out["Body"].read() == b"hello" and out["Checksum" + algorithm] and out["ChecksumType"] == "FULL_OBJECT", out
s3.put_object_tagging(Bucket=B, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
assert s3.get_object_tagging(Bucket=B, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]

# Versions.
s3.put_bucket_versioning(Bucket=B, VersioningConfiguration={"Status": "Enabled"})
first, second = (s3.put_object(Bucket=B, Key="v", Body=body)["VersionId"] for body in (b"1", b"2"))
gone = s3.delete_object(Bucket=B, Key="v")
assert gone["DeleteMarker"] and code(s3.get_object, Key="v") == "NoSuchKey"
assert s3.get_object(Bucket=B, Key="v", VersionId=first)["Body"].read() == b"1"
s3.delete_object(Bucket=B, Key="v", VersionId=gone["VersionId"])
assert s3.get_object(Bucket=B, Key="v")["Body"].read() == b"2"
assert [v["VersionId"] for v in s3.list_object_versions(Bucket=B, Prefix="v")["Versions"]] == [second, first]
assert code(s3.get_object, Key="v", VersionId="bogus") == "InvalidArgument"

# Listings, lifecycle, and the end of it all.
for i in range(50):
    s3.put_object(Bucket=B, Key=f"many/{i}", Body=b"")
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=B, Prefix="many/", PaginationConfig={"PageSize": 20}))
assert [p["KeyCount"] for p in pages] == [20, 20, 10]
folders = s3.list_objects_v2(Bucket=B, Delimiter="/")["CommonPrefixes"]
assert [f["Prefix"] for f in folders] == ["dir/", "many/"], folders
rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
s3.put_bucket_lifecycle_configuration(Bucket=B, LifecycleConfiguration={"Rules": [rule]})
assert s3.get_bucket_lifecycle_configuration(Bucket=B)["Rules"] == [rule]
assert code(s3.delete_bucket) == "BucketNotEmpty"
boto3.resource("s3").Bucket(B).object_versions.delete()
assert "Versions" not in s3.list_object_versions(Bucket=B)
s3.delete_bucket(Bucket=B)
print("ok")
