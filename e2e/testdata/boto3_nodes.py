"""A multi-node parallel job through boto3: registered, overridden, described, terminated."""
import time

import boto3
from botocore.exceptions import ClientError

batch = boto3.client("batch")


def container(command):
    return {
        "image": "host",
        "command": ["sh", "-c", command],
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
    }


show = "env | grep ^AWS_BATCH_JOB_ | sort; "
definition = batch.register_job_definition(
    jobDefinitionName="gang",
    type="multinode",
    nodeProperties={
        "numNodes": 3,
        "mainNode": 1,
        "nodeRangeProperties": [
            {"targetNodes": "0:", "container": container(show + "sleep 600")},
            {"targetNodes": "1", "container": container(show + "sleep 600")},
        ],
    },
)["jobDefinitionArn"]
kept = batch.describe_job_definitions(jobDefinitions=[definition])["jobDefinitions"][0]
assert kept["type"] == "multinode" and kept["nodeProperties"]["mainNode"] == 1, kept
assert [r["targetNodes"] for r in kept["nodeProperties"]["nodeRangeProperties"]] == ["0:", "1"], kept


def wait(job, *statuses):
    for _ in range(1200):
        detail = batch.describe_jobs(jobs=[job])["jobs"][0]
        if detail["status"] in statuses:
            return detail
        time.sleep(0.05)
    raise AssertionError(f"job {job} did not become {statuses}: {detail}")


def submit(**more):
    return batch.submit_job(jobName="gang", jobQueue="default", jobDefinition="gang", **more)["jobId"]


job = submit(nodeOverrides={"numNodes": 4})
for n in range(4):
    node = wait(f"{job}#{n}", "RUNNING")
    assert node["nodeDetails"] == {"nodeIndex": n, "isMainNode": n == 1}, node
    assert node["container"]["logStreamName"], node
detail = wait(job, "RUNNING")
assert "container" not in detail and detail["nodeProperties"]["numNodes"] == 4, detail
listed = batch.list_jobs(multiNodeJobId=job)["jobSummaryList"]
assert [j["nodeProperties"]["nodeIndex"] for j in listed] == [0, 1, 2, 3], listed
assert {j["nodeProperties"]["numNodes"] for j in listed} == {4}, listed

logs = boto3.client("logs")


def variables(n):
    stream = batch.describe_jobs(jobs=[f"{job}#{n}"])["jobs"][0]["container"]["logStreamName"]
    for _ in range(600):
        events = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True)["events"]
        seen = dict(e["message"].split("=", 1) for e in events)
        if "AWS_BATCH_JOB_NUM_NODES" in seen:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"node {n} wrote {events}")


main, child = variables(1), variables(2)
assert main["AWS_BATCH_JOB_NODE_INDEX"] == "1" and main["AWS_BATCH_JOB_MAIN_NODE_INDEX"] == "1", main
assert "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS" not in main, main
address = batch.describe_jobs(jobs=[f"{job}#1"])["jobs"][0]["attempts"][0]["container"]["networkInterfaces"][0]["privateIpv4Address"]
assert child["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] == address, child
assert child["AWS_BATCH_JOB_NUM_NODES"] == "4" and child["AWS_BATCH_JOB_ID"] == job + "#2", child

try:
    batch.terminate_job(jobId=job + "#2", reason="one node")
    raise AssertionError("a single node was terminated")
except ClientError as e:
    assert e.response["Error"]["Code"] == "ClientException", e
batch.terminate_job(jobId=job, reason="enough")
detail = wait(job, "FAILED")
assert detail["statusReason"] == "enough" and detail["stoppedAt"] >= detail["startedAt"], detail
for n in range(4):
    node = batch.describe_jobs(jobs=[f"{job}#{n}"])["jobs"][0]
    assert node["status"] == "FAILED" and node["stoppedAt"], node

job = submit(nodeOverrides={"nodePropertyOverrides": [{"targetNodes": "1:1", "containerOverrides": {"command": ["sh", "-c", "exit 3"]}}]})
detail = wait(job, "FAILED")
assert detail["attempts"][-1]["container"]["exitCode"] == 3, detail
assert [r["targetNodes"] for r in detail["nodeProperties"]["nodeRangeProperties"]] == ["0:0", "1:1", "2:2"], detail
