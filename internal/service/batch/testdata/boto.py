"""Walks through the API as boto3 clients do, and fails where one of them would."""
import time

import boto3

batch = boto3.client("batch")


def refused(words, call, **args):
    try:
        call(**args)
    except batch.exceptions.ClientException as e:
        assert words in e.response["Error"]["Message"], e
        return
    raise AssertionError(f"not refused: {args}")


# Luigi and Metaflow index these without asking.
assert batch.describe_jobs(jobs=["a" * 32])["jobs"] == []
assert batch.describe_job_definitions(jobDefinitionName="none")["jobDefinitions"] == []
assert batch.list_jobs(jobQueue="default")["jobSummaryList"] == []
assert batch.describe_job_queues(jobQueues=["none"])["jobQueues"] == []

queue = [q for q in batch.describe_job_queues()["jobQueues"] if q["state"] == "ENABLED" and q["status"] == "VALID"][0]
ce = batch.describe_compute_environments(
    computeEnvironments=[o["computeEnvironment"] for o in queue["computeEnvironmentOrder"]])["computeEnvironments"][0]
assert ce["computeResources"]["type"] == "EC2" and ce["ecsClusterArn"].startswith("arn:aws:ecs:"), ce

definition = batch.register_job_definition(
    jobDefinitionName="boto", type="container", parameters={"nf-token": "x", "word": "hi"}, tags={"a": "b"},
    containerProperties={"image": "host", "command": ["echo", "Ref::word"], "environment": [],
                         "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "64"}]})
assert definition["revision"] == 1
described = batch.describe_job_definitions(jobDefinitions=[definition["jobDefinitionArn"]])["jobDefinitions"][0]
assert described["status"] == "ACTIVE" and described["parameters"]["nf-token"] == "x" and described["tags"] == {"a": "b"}
for absent in ("retryStrategy", "timeout", "propagateTags", "schedulingPriority", "platformCapabilities"):
    assert absent not in described, absent

job = batch.submit_job(jobName="Case-Kept", jobQueue=queue["jobQueueArn"], jobDefinition="boto",
                       arrayProperties={"size": 2}, parameters={"word": "ünïcödé"})
assert job["jobName"] == "Case-Kept" and job["jobArn"].endswith(job["jobId"])
for _ in range(200):
    detail = batch.describe_jobs(jobs=[job["jobId"]])["jobs"][0]
    if detail["status"] in ("SUCCEEDED", "FAILED"):
        break
    time.sleep(0.05)
assert detail["status"] == "SUCCEEDED" and detail["stoppedAt"] > 0 and detail["createdAt"] > 10**12, detail
assert detail["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2
assert detail["attempts"] == [] and detail["dependsOn"] == [] and "startedAt" not in detail
child = batch.describe_jobs(jobs=[job["jobId"] + ":1"])["jobs"][0]
container = child["attempts"][-1]["container"]
assert container["exitCode"] == 0 and container["logStreamName"].split("/")[-1] == container["taskArn"].split("/")[-1]
assert child["container"]["command"] == ["echo", "ünïcödé"] and child["container"]["logStreamName"] == container["logStreamName"]
listed = batch.list_jobs(arrayJobId=job["jobId"], jobStatus="SUCCEEDED")["jobSummaryList"]
assert [j["arrayProperties"]["index"] for j in listed] == [0, 1]

arn = queue["jobQueueArn"]
batch.tag_resource(resourceArn=arn, tags={"x": "1", "y": "2"})
batch.untag_resource(resourceArn=arn, tagKeys=["x", "z"])
assert batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"y": "2"}

refused("JobQueue none not found", batch.submit_job, jobName="j", jobQueue="none", jobDefinition="boto")
refused("does not exist or is not in ACTIVE status", batch.submit_job, jobName="j", jobQueue="default", jobDefinition="none")
refused("does not exist", batch.terminate_job, jobId="00000000-0000-4000-8000-000000000000", reason="r")
batch.terminate_job(jobId=job["jobId"], reason="ended already")
batch.deregister_job_definition(jobDefinition="boto:1")
assert batch.describe_job_definitions(jobDefinitionName="boto")["jobDefinitions"][0]["status"] == "INACTIVE"

# Sharing: policies, quota shares, consumable resources, snapshots.
fair = batch.create_scheduling_policy(name="fair", fairsharePolicy={
    "shareDecaySeconds": 60, "computeReservation": 5, "shareDistribution": [{"shareIdentifier": "a*", "weightFactor": 0.125}]})["arn"]
policy = batch.describe_scheduling_policies(arns=[fair, fair + "x"])["schedulingPolicies"]
assert [p["fairsharePolicy"]["shareDistribution"] for p in policy] == [[{"shareIdentifier": "a*", "weightFactor": 0.125}]], policy
assert batch.list_scheduling_policies()["schedulingPolicies"] == [{"arn": fair}]
order = [{"order": 1, "computeEnvironment": o["computeEnvironment"]} for o in queue["computeEnvironmentOrder"]]
shared = batch.create_job_queue(jobQueueName="shared", priority=1, schedulingPolicyArn=fair, computeEnvironmentOrder=order)["jobQueueArn"]
assert batch.describe_job_queues(jobQueues=[shared])["jobQueues"][0]["schedulingPolicyArn"] == fair
refused("JobQueue relationship", batch.delete_scheduling_policy, arn=fair)

licence = batch.create_consumable_resource(consumableResourceName="licence", totalQuantity=3)["consumableResourceArn"]
assert batch.update_consumable_resource(consumableResource=licence, operation="ADD", quantity=2)["totalQuantity"] == 5
batch.register_job_definition(
    jobDefinitionName="tokens", type="container",
    consumableResourceProperties={"consumableResourceList": [{"consumableResource": licence, "quantity": 2}]},
    containerProperties={"image": "host", "command": ["true"], "resourceRequirements": [
        {"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "8"}]})
refused("shareIdentifier", batch.submit_job, jobName="j", jobQueue="shared", jobDefinition="tokens")
job = batch.submit_job(jobName="j", jobQueue="shared", jobDefinition="tokens", shareIdentifier="a1", schedulingPriorityOverride=7)
users = batch.list_jobs_by_consumable_resource(consumableResource="licence")["jobs"]
assert [(u["jobArn"], u["quantity"], u["shareIdentifier"]) for u in users] == [(job["jobArn"], 2, "a1")], users
for _ in range(200):
    detail = batch.describe_jobs(jobs=[job["jobId"]])["jobs"][0]
    if detail["status"] in ("SUCCEEDED", "FAILED"):
        break
    time.sleep(0.05)
assert detail["status"] == "SUCCEEDED" and detail["schedulingPriority"] == 7, detail
assert detail["consumableResourceProperties"]["consumableResourceList"][0]["quantity"] == 2, detail
stock = batch.describe_consumable_resource(consumableResource="licence")
assert (stock["totalQuantity"], stock["inUseQuantity"], stock["availableQuantity"]) == (5, 0, 5), stock
assert batch.list_consumable_resources()["consumableResources"][0]["consumableResourceArn"] == licence
snapshot = batch.get_job_queue_snapshot(jobQueue="shared")
assert snapshot["frontOfQueue"]["jobs"] == [] and snapshot["frontOfQueue"]["lastUpdatedAt"] > 10**12, snapshot
batch.delete_consumable_resource(consumableResource="licence")
refused("does not exist", batch.describe_consumable_resource, consumableResource="licence")

if hasattr(batch, "create_quota_share"):  # boto3 of 2026
    quota = batch.create_scheduling_policy(name="quota", quotaSharePolicy={"idleResourceAssignmentStrategy": "FIFO"})["arn"]
    batch.create_job_queue(jobQueueName="quota", priority=1, schedulingPolicyArn=quota, computeEnvironmentOrder=order)
    share = batch.create_quota_share(
        quotaShareName="team", jobQueue="quota", capacityLimits=[{"capacityUnit": "VCPU", "maxCapacity": 2}],
        preemptionConfiguration={"inSharePreemption": "DISABLED"}, resourceSharingConfiguration={"strategy": "RESERVE"})["quotaShareArn"]
    assert batch.describe_quota_share(quotaShareArn=share)["state"] == "ENABLED"
    assert [q["quotaShareName"] for q in batch.list_quota_shares(jobQueue="quota")["quotaShares"]] == ["team"]
    batch.update_quota_share(quotaShareArn=share, state="DISABLED")
    batch.delete_quota_share(quotaShareArn=share)
    assert batch.list_service_jobs()["jobSummaryList"] == []
    refused("SageMaker", batch.describe_service_job, jobId="x")
