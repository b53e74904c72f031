// A job that uses AWS with what it finds in its environment, in JavaScript.
const { BatchClient, DescribeJobsCommand } = require("@aws-sdk/client-batch");
const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");

(async () => {
  const who = await new STSClient({}).send(new GetCallerIdentityCommand({}));
  console.log("arn", who.Arn);
  const jobs = await new BatchClient({}).send(new DescribeJobsCommand({ jobs: [process.env.AWS_BATCH_JOB_ID] }));
  console.log("job", jobs.jobs[0].status);
})();
