import software.amazon.awssdk.services.batch.BatchClient;
import software.amazon.awssdk.services.sts.StsClient;

/** A job that uses AWS with what it finds in its environment, in Java. */
public class Inside {
    public static void main(String[] args) {
        System.out.println("arn " + StsClient.create().getCallerIdentity().arn());
        String me = System.getenv("AWS_BATCH_JOB_ID");
        System.out.println("job " + BatchClient.create().describeJobs(r -> r.jobs(me)).jobs().get(0).statusAsString());
    }
}
