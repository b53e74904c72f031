"""Drives every operation of a service with botocore, and compares member by member.

usage: botocore.py SERVICE ENDPOINT REFUSED,REFUSED,...
The endpoint answers each call with an output that has all members set, and says at /seen what
it decoded and what it answered. Members that only one side's model has are counted, not wrong:
botocore and the Go SDK may be of different dates.
"""
import json
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

service, endpoint, refused = sys.argv[1], sys.argv[2], set(filter(None, sys.argv[3].split(",")))
client = boto3.client(service, endpoint_url=endpoint, region_name="drover-1", aws_access_key_id="AKIAWIRETESTWIRETEST",
                      aws_secret_access_key="wiretest", config=Config(retries={"max_attempts": 0}))
count, compared, wrong, alone = 0, 0, [], set()


def fill(shape, inside=()):
    """A value in which everything is set and different; None stops a shape inside itself."""
    global count
    count += 1
    kind = shape.type_name
    if kind == "structure":
        if shape.name in inside:
            return None
        members = {n: fill(s, inside + (shape.name,)) for n, s in shape.members.items()}
        return {n: v for n, v in members.items() if v is not None}
    if kind == "list":
        items = [fill(shape.member, inside), fill(shape.member, inside)]
        return None if None in items else items
    if kind == "map":
        return {fill(shape.key, inside): fill(shape.value, inside), fill(shape.key, inside): fill(shape.value, inside)}
    return {"string": f's{count} <&"é+/% \n>', "boolean": True, "integer": count % 100 + 1, "long": (count << 40) + 1,
            "float": count + 0.25, "double": count + 0.25}[kind]


def same(shape, ours, theirs, path):
    """Compares a botocore value with Go's JSON of it."""
    global compared
    compared += 1
    kind = shape.type_name
    if kind == "structure":
        names = {n[0].upper() + n[1:]: n for n in shape.members}
        for go, value in (theirs or {}).items():
            n = names.pop(go, None)
            if n is None:
                if go != "ResultMetadata":
                    alone.add(path + "." + go)
                continue
            mine = (ours or {}).get(n)
            if mine is None and value in (None, "", [], {}):
                continue  # a shape inside itself
            same(shape.members[n], mine, value, path + "." + n)
        alone.update(path + "." + n for n in names.values() if theirs)
    elif kind == "list" and isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            same(shape.member, a, b, f"{path}[{i}]")
    elif kind == "map" and isinstance(ours, dict) and isinstance(theirs, dict) and set(ours) == set(theirs):
        for k in ours:
            same(shape.value, ours[k], theirs[k], f"{path}[{k!r}]")
    elif ours != theirs or kind in ("list", "map"):
        wrong.append(f"{path}: botocore has {ours!r}, drover {theirs!r}")


driven = []
for method, op in sorted(client.meta.method_to_api_mapping.items()):
    model = client.meta.service_model.operation_model(op)
    arguments = fill(model.input_shape) if model.input_shape else {}
    driven.append(op)
    try:
        answer = getattr(client, method)(**arguments)
    except ClientError as e:
        error = e.response["Error"]
        if op not in refused or e.response["ResponseMetadata"]["HTTPStatusCode"] != 400 or not isinstance(e, client.exceptions.ClientException):
            wrong.append(f"{op}: {error}")
        continue
    if op in refused:
        wrong.append(f"{op} is refused and was answered")
        continue
    seen = json.load(urllib.request.urlopen(endpoint + "/seen"))
    if seen["op"] != op:
        wrong.append(f"{op} arrived as {seen['op']}")
        continue
    same(model.input_shape, arguments, seen["in"], op + " input")
    if model.output_shape:
        same(model.output_shape, answer, seen["out"], op + " output")

print("RESULT " + json.dumps({"driven": driven, "compared": compared, "wrong": wrong, "alone": sorted(alone)}))
