"""A Luigi pipeline as its users write one: three dependent BatchTasks, their results in S3.

Nothing here knows drover: the endpoint and the credentials come from the environment.
usage: luigi_pipeline.py DEFINITION.json BUCKET [broken]
"""
import json
import logging
import sys

import boto3
import luigi
from luigi.contrib.batch import BatchClient, BatchTask
from luigi.contrib.s3 import S3Target

definition, bucket, broken = sys.argv[1], sys.argv[2], sys.argv[3:] == ["broken"]
ran = []


class Step(BatchTask):
    job_definition = luigi.Parameter(default="luigi-step")
    poll_time = luigi.IntParameter(default=1)

    def output(self):
        return S3Target(f"s3://{bucket}/{self.job_name}.txt")

    @property
    def parameters(self):
        source = self.input().path if self.requires() else "-"
        return {"script": self.script, "source": source, "target": self.output().path}


class Extract(Step):
    job_name = luigi.Parameter(default="extract")
    script = "text = 'to be or not to be'"


class Count(Step):
    job_name = luigi.Parameter(default="count")
    script = "words = text.split(); text = '\\n'.join(f'{w} {words.count(w)}' for w in sorted(set(words)))"

    def requires(self):
        return Extract()


class Report(Step):
    job_name = luigi.Parameter(default="report")
    script = "print('about to divide'); 1 / 0" if broken else "text = str(sum(int(l.split()[1]) for l in text.splitlines()))"

    def requires(self):
        return Count()


@Step.event_handler(luigi.Event.START)
def started(task):
    ran.append(task.job_name)


failures = []


@Step.event_handler(luigi.Event.FAILURE)
def failed(task, error):
    failures.append(str(error))


logging.basicConfig(level=logging.INFO)
registered = BatchClient().register_job_definition(definition)
assert registered["jobDefinitionName"] == "luigi-step", registered
ok = luigi.build([Report()], local_scheduler=True, workers=1)

result = {"ok": ok, "ran": ran, "failures": failures}
if ok:
    with Report().output().open() as f:
        result["report"] = f.read()
    result["names"] = sorted(o["Key"] for o in boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"])
print("RESULT " + json.dumps(result))
