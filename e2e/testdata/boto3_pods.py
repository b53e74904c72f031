"""Jobs of several containers through boto3: an init container, the main one and a sidecar.

Arguments: the image, the folder that the containers share, and what goes before the words of
the test program.
"""
import json
import sys
import time

import boto3

image, folder, *program = sys.argv[1:]
batch, logs = boto3.client("batch"), boto3.client("logs")


def container(name, words, **more):
    made = {
        "name": name,
        "image": image,
        "command": program + words,
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
        **more,
    }
    if image != "host":
        made["mountPoints"] = [{"sourceVolume": "shared", "containerPath": folder}]
    return made


ready, made = folder + "/ready", folder + "/made"
task = {
    "containers": [
        container("main", ["await=" + ready, "echo=main reads", "read=" + made], dependsOn=[
            {"containerName": "init", "condition": "SUCCESS"},
            {"containerName": "side", "condition": "START"},
        ]),
        container("init", ["echo=init writes", "write=" + made], essential=False),
        container("side", ["echo=side serves", "write=" + ready, "sleep=10m"], essential=False, stopTimeout=5),
    ],
}
if image != "host":
    task["volumes"] = [{"name": "shared"}]
batch.register_job_definition(jobDefinitionName="pod", type="container", ecsProperties={"taskProperties": [task]})


def submit(commands=None, **more):
    if commands:
        changed = [{"name": n, "command": program + words} for n, words in commands.items()]
        more["ecsPropertiesOverride"] = {"taskProperties": [{"containers": changed}]}
    return batch.submit_job(jobName="pod", jobQueue="default", jobDefinition="pod", **more)["jobId"]


def wait(job, *statuses):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        detail = batch.describe_jobs(jobs=[job])["jobs"][0]
        if detail["status"] in statuses:
            return detail
        time.sleep(0.05)
    raise AssertionError(f"job {job} did not become {statuses}: {detail}")


def same(what, got, want):
    assert got == want, f"{what}: {got}, want {want}"


def ends(attempt, ended=True):
    """What became of each container of an attempt."""
    assert len(attempt["taskProperties"]) == 1 and "exitCode" not in attempt["container"], attempt
    one = attempt["taskProperties"][0]
    assert one["containerInstanceArn"] and one["taskArn"], one
    same("names", [c["name"] for c in one["containers"]], ["main", "init", "side"])
    number = one["taskArn"].rsplit("/", 1)[1]
    for c in one["containers"]:
        if "logStreamName" in c:
            same("log stream", c["logStreamName"], f"pod/{c['name']}/{number}")
        same("it ran", "logStreamName" in c, not ended or "exitCode" in c)
    return {c["name"]: c for c in one["containers"]}


def written(end):
    events = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=end["logStreamName"], startFromHead=True)["events"]
    return [e["message"] for e in events]


# All goes well: the main container's end is the job's, and the sidecar is stopped.
first = submit()
detail = wait(first, "SUCCEEDED", "FAILED")
same("status", detail["status"], "SUCCEEDED")
assert "container" not in detail and detail["startedAt"] <= detail["stoppedAt"], detail
same("attempts", len(detail["attempts"]), 1)
end = ends(detail["attempts"][0])
same("exit codes", (end["main"]["exitCode"], end["init"]["exitCode"]), (0, 0))
assert end["side"]["exitCode"] != 0, end["side"]
same("main's log", written(end["main"]), ["main reads", "written"])
same("init's log", written(end["init"]), ["init writes"])
same("the sidecar's log", written(end["side"]), ["side serves"])
now = detail["ecsProperties"]["taskProperties"][0]
same("the task", now["taskArn"], detail["attempts"][0]["taskProperties"][0]["taskArn"])
same("essential", [c["essential"] for c in now["containers"]], [True, False, False])
for c in now["containers"]:
    for key in ("exitCode", "logStreamName"):
        same(f"{key} of {c['name']}", c[key], end[c["name"]][key])

# The essential container fails: it is retried while the retry strategy knows its code.
fail = ["await=" + ready, "echo=main fails"]
again = {"attempts": 3, "evaluateOnExit": [{"onExitCode": "4", "action": "RETRY"}, {"onExitCode": "*", "action": "EXIT"}]}
detail = wait(submit({"main": fail + ["exit=4"]}, retryStrategy={**again, "attempts": 2}), "SUCCEEDED", "FAILED")
same("status", (detail["status"], detail["statusReason"], len(detail["attempts"])), ("FAILED", "Essential container in task exited", 2))
arns = {a["taskProperties"][0]["taskArn"] for a in detail["attempts"]}
same("tasks", len(arns), 2)
for attempt in detail["attempts"]:
    end = ends(attempt)
    same("exit codes", (end["main"]["exitCode"], end["init"]["exitCode"]), (4, 0))
    same("main's log", written(end["main"]), ["main fails"])
    same("reason", attempt["statusReason"], "Essential container in task exited")
detail = wait(submit({"main": fail + ["exit=5"]}, retryStrategy=again), "SUCCEEDED", "FAILED")
same("attempts of a code that is not retried", (detail["status"], len(detail["attempts"])), ("FAILED", 1))

# The init container fails: the main one can never start.
detail = wait(submit({"init": ["echo=no", "exit=7"]}), "SUCCEEDED", "FAILED")
same("status", (detail["status"], detail["statusReason"]), ("FAILED", "Task failed to start"))
end = ends(detail["attempts"][0])
same("init", end["init"]["exitCode"], 7)
assert "exitCode" not in end["main"] and "init did not exit successfully" in end["main"]["reason"], end["main"]

# One that runs is terminated: all of it ends, and the reason is told.
job = submit({"main": ["await=" + ready, "sleep=10m"]})
detail = wait(job, "RUNNING")
assert all("exitCode" not in c for c in detail["ecsProperties"]["taskProperties"][0]["containers"]), detail
batch.terminate_job(jobId=job, reason="enough")
detail = wait(job, "SUCCEEDED", "FAILED")
same("status", (detail["status"], detail["statusReason"]), ("FAILED", "enough"))

# An image that is not to be had: none of it runs, and why is told.
if image != "host":
    broken = {**task, "containers": [*task["containers"][:2], {**task["containers"][2], "image": "127.0.0.1:1/none:1"}]}
    batch.register_job_definition(jobDefinitionName="pod", type="container", ecsProperties={"taskProperties": [broken]})
    detail = wait(submit(), "SUCCEEDED", "FAILED")
    same("status", (detail["status"], detail["statusReason"]), ("FAILED", "Task failed to start"))
    for c in ends(detail["attempts"][0]).values():
        assert c["reason"].startswith("CannotPullContainerError: ") and "exitCode" not in c, c

# Nodes of several containers: the end of the main node's main container ends them all.
nodes = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": [{"targetNodes": "0:", "ecsProperties": {"taskProperties": [task]}}]}
task["containers"][0]["command"] = program + ["await=" + ready, "env=AWS_BATCH_JOB_NODE_INDEX", "env=AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS", "sleep=Ref::wait"]
batch.register_job_definition(jobDefinitionName="pod", type="multinode", nodeProperties=nodes, parameters={"wait": "1s"})
job = submit()
detail = wait(job, "SUCCEEDED", "FAILED")
same("status of the nodes' job", detail["status"], "SUCCEEDED")
assert "ecsProperties" not in detail and len(detail["nodeProperties"]["nodeRangeProperties"][0]["ecsProperties"]["taskProperties"]) == 1, detail
node = batch.describe_jobs(jobs=[job + "#0"])["jobs"][0]
same("containers", len(node["ecsProperties"]["taskProperties"][0]["containers"]), 3)
end = ends(node["attempts"][0])
same("main's log", written(end["main"])[0], "0")
same("exit codes", (end["main"]["exitCode"], end["init"]["exitCode"]), (0, 0))
same("the job's attempt", detail["attempts"][0]["taskProperties"], node["attempts"][0]["taskProperties"])
same("node 1", batch.describe_jobs(jobs=[job + "#1"])["jobs"][0]["nodeDetails"], {"nodeIndex": 1, "isMainNode": False})

# Each container of a node knows the address of the main one.
job = submit(parameters={"wait": "10m"})
until, said = time.monotonic() + 120, []
while len(said) < 2 and time.monotonic() < until:
    one = ends(wait(job + "#1", "RUNNING")["attempts"][0], ended=False)
    try:
        said = written(one["main"])
    except logs.exceptions.ResourceNotFoundException:
        said = []  # nothing is written yet
    time.sleep(0.05)
main = batch.describe_jobs(jobs=[job + "#0"])["jobs"][0]
for c in main["attempts"][0]["taskProperties"][0]["containers"] + main["ecsProperties"]["taskProperties"][0]["containers"]:
    same("node 1 says", said, ["1", c["networkInterfaces"][0]["privateIpv4Address"]])
batch.terminate_job(jobId=job, reason="enough")
detail = wait(job, "SUCCEEDED", "FAILED")
same("status", (detail["status"], detail["statusReason"]), ("FAILED", "enough"))

print("RESULT", json.dumps(first))
