"""A first job through boto3, with no option but what the environment says."""
import time

import boto3

batch, logs = boto3.client("batch"), boto3.client("logs")

environments = batch.describe_compute_environments()["computeEnvironments"]
assert [e["computeEnvironmentName"] for e in environments] == ["local"], environments
assert environments[0]["computeResources"]["type"] == "EC2"

queue = batch.create_job_queue(
    jobQueueName="py", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "local"}]
)["jobQueueArn"]
definition = batch.register_job_definition(
    jobDefinitionName="py",
    type="container",
    containerProperties={
        "image": "host",
        "command": ["sh", "-c", 'echo "child $AWS_BATCH_JOB_ARRAY_INDEX"; exit $((AWS_BATCH_JOB_ARRAY_INDEX == 2))'],
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
    },
    retryStrategy={"attempts": 2, "evaluateOnExit": [{"onExitCode": "1", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]},
)
assert definition["revision"] == 1


def wait(job):
    for _ in range(600):
        detail = batch.describe_jobs(jobs=[job])["jobs"][0]
        if detail["status"] in ("SUCCEEDED", "FAILED"):
            return detail
        time.sleep(0.05)
    raise AssertionError(f"job {job} did not end: {detail}")


array = batch.submit_job(jobName="array", jobQueue=queue, jobDefinition="py", arrayProperties={"size": 4})["jobId"]
detail = wait(array)
assert detail["status"] == "FAILED", detail
assert detail["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3, detail
bad = batch.describe_jobs(jobs=[f"{array}:2"])["jobs"][0]
assert len(bad["attempts"]) == 2 and bad["container"]["exitCode"] == 1, bad
assert bad["stoppedAt"] >= bad["startedAt"] >= bad["createdAt"], bad
streams = {a["container"]["logStreamName"] for a in bad["attempts"]}
assert len(streams) == 2, "each attempt has a log stream of its own"
for stream in streams:
    events = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True)["events"]
    assert [e["message"] for e in events] == ["child 2"], events

pages = batch.get_paginator("list_jobs").paginate(arrayJobId=array, jobStatus="SUCCEEDED", PaginationConfig={"PageSize": 2})
assert sorted(j["arrayProperties"]["index"] for p in pages for j in p["jobSummaryList"]) == [0, 1, 3]

first = batch.submit_job(jobName="first", jobQueue=queue, jobDefinition="py", containerOverrides={"command": ["true"]})["jobId"]
second = batch.submit_job(
    jobName="second", jobQueue=queue, jobDefinition="py", dependsOn=[{"jobId": first}], containerOverrides={"command": ["true"]}
)["jobId"]
assert wait(second)["status"] == "SUCCEEDED" and wait(first)["status"] == "SUCCEEDED"

sleeper = batch.submit_job(jobName="sleeper", jobQueue=queue, jobDefinition="py", containerOverrides={"command": ["sleep", "300"]})["jobId"]
batch.terminate_job(jobId=sleeper, reason="done with it")
assert wait(sleeper)["statusReason"] == "done with it"

try:
    batch.submit_job(jobName="x", jobQueue="nowhere", jobDefinition="py")
    raise AssertionError("an unknown queue was accepted")
except batch.exceptions.ClientException as e:
    assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400, e.response
try:
    logs.get_log_events(logGroupName="/aws/batch/job", logStreamName="none")
    raise AssertionError("an unknown stream was found")
except logs.exceptions.ResourceNotFoundException:
    pass
assert batch.describe_jobs(jobs=["a" * 32])["jobs"] == []

batch.update_job_queue(jobQueue=queue, state="DISABLED")
batch.delete_job_queue(jobQueue=queue)
assert batch.describe_job_queues(jobQueues=["py"])["jobQueues"] == []
batch.deregister_job_definition(jobDefinition=definition["jobDefinitionArn"])
assert batch.describe_job_definitions(jobDefinitionName="py", status="ACTIVE")["jobDefinitions"] == []
print("ok")
