"""Calls every operation of a service with every member set, and prints what of the
answer botocore did not recognise: one JSON line per operation."""
import json, sys
import boto3
from botocore.config import Config

endpoint, service, key, secret, skip = sys.argv[1:6]
client = boto3.client(service, endpoint_url=endpoint, region_name="drover-1", aws_access_key_id=key,
                      aws_secret_access_key=secret,
                      config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))


def fill(shape, seen=()):
    if shape.name in seen or getattr(shape, "is_document_type", False):
        return None
    seen = seen + (shape.name,)
    kind = shape.type_name
    if kind == "structure":
        members = {n: fill(m, seen) for n, m in shape.members.items()}
        members = {n: v for n, v in members.items() if v is not None}
        return dict(list(members.items())[:1]) if getattr(shape, "is_tagged_union", False) else members
    if kind == "list":
        item = fill(shape.member, seen)
        return None if item is None else [item]
    if kind == "map":
        item = fill(shape.value, seen)
        return None if item is None else {"k": item}
    return {"string": "s", "boolean": True, "blob": b"b", "timestamp": 1700000000,
            "float": 1.5, "double": 1.5}.get(kind, 7)


def missing(shape, value, path, seen=()):
    if shape.name in seen or getattr(shape, "is_tagged_union", False):
        return
    seen = seen + (shape.name,)
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if value is None or name not in value:
                yield path + "." + name
            else:
                yield from missing(member, value[name], path + "." + name, seen)
    elif shape.type_name == "list" and value:
        yield from missing(shape.member, value[0], path, seen)
    elif shape.type_name == "map" and value:
        yield from missing(shape.value, next(iter(value.values())), path, seen)


for method, op in sorted(client.meta.method_to_api_mapping.items()):
    model = client.meta.service_model.operation_model(op)
    if op in skip.split(",") or model.has_event_stream_output:
        continue
    params = fill(model.input_shape) if model.input_shape else {}
    try:
        out = getattr(client, method)(**params)
        lost = list(missing(model.output_shape, out, op)) if model.output_shape else []
        print(json.dumps({"op": op, "sent": list(params), "lost": lost}))
    except Exception as e:
        print(json.dumps({"op": op, "error": repr(e)}))
