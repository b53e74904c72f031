"""The command of the pipeline's jobs: reads source from S3, runs the script on it, writes target."""
import sys

import boto3

script, source, target = sys.argv[1:]
s3 = boto3.client("s3")
scope = {"text": ""}
if source != "-":
    bucket, key = source.removeprefix("s3://").split("/", 1)
    scope["text"] = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
exec(script, scope)
bucket, key = target.removeprefix("s3://").split("/", 1)
s3.put_object(Bucket=bucket, Key=key, Body=scope["text"].encode())
