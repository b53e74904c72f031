"""A Metaflow flow as its users write one: every step but the last runs on AWS Batch.

Nothing here knows drover; image and volumes come from the environment. One of the squares fails
in its first attempt, so that @retry has to help.
"""
import os

from metaflow import FlowSpec, Parameter, batch, current, environment, retry, step

jobs = dict(cpu=1, memory=1024)
ready = {"METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1"}  # boto3 and requests are there
if os.environ.get("STEP_VOLUMES"):
    jobs["host_volumes"] = os.environ["STEP_VOLUMES"].split(",")
    ready["PATH"] = os.environ["STEP_PATH"]


class SquaresFlow(FlowSpec):
    upto = Parameter("upto", default=2)

    @environment(vars=ready)
    @batch(**jobs)
    @step
    def start(self):
        self.numbers = list(range(1, self.upto + 1))
        self.next(self.square, foreach="numbers")

    @environment(vars=ready)
    @retry(times=1, minutes_between_retries=0)
    @batch(**jobs)
    @step
    def square(self):
        if self.input == 2 and current.retry_count == 0:
            raise ValueError("square 2 fails once")
        print("squaring", self.input)
        self.number, self.result, self.attempt = self.input, self.input**2, current.retry_count
        self.next(self.join)

    @environment(vars=ready)
    @batch(**jobs)
    @step
    def join(self, inputs):
        self.total = sum(i.result for i in inputs)
        self.attempts = {i.number: i.attempt for i in inputs}
        self.next(self.end)

    @step
    def end(self):
        print("the total is", self.total)


if __name__ == "__main__":
    SquaresFlow()
