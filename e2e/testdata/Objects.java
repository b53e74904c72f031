// The object store through the AWS SDK for Java v2, with no option but what the environment
// says. The first argument names a bucket of its own.
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.*;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

public class Objects {
  static S3Client s3;
  static String bucket;

  static void check(boolean ok, Object what) {
    if (!ok) throw new AssertionError(what);
  }

  static String code(Runnable call) {
    try {
      call.run();
      return "ok";
    } catch (S3Exception e) {
      return e.awsErrorDetails().errorCode();
    }
  }

  static void put(String key, String text) {
    s3.putObject(b -> b.bucket(bucket).key(key), RequestBody.fromString(text));
  }

  static byte[] get(String key) {
    return s3.getObjectAsBytes(b -> b.bucket(bucket).key(key)).asByteArray();
  }

  public static void main(String[] args) throws Exception {
    bucket = args[0];
    String endpoint = System.getenv("AWS_ENDPOINT_URL");
    s3 = S3Client.builder().forcePathStyle(true).build();
    s3.createBucket(b -> b.bucket(bucket));
    String key = "dir//\u00fc +%/k";
    String etag = s3.putObject(b -> b.bucket(bucket).key(key).metadata(Map.of("who", "me")).contentType("text/x"), RequestBody.fromString("hello")).eTag();
    var out = s3.getObjectAsBytes(b -> b.bucket(bucket).key(key));
    check(out.asUtf8String().equals("hello") && out.response().metadata().get("who").equals("me") && out.response().contentType().equals("text/x"), out.response());
    check(s3.getObjectAsBytes(b -> b.bucket(bucket).key(key).range("bytes=1-3")).asUtf8String().equals("ell"), "range");

    byte[] big = new byte[11 << 20];
    new Random(1).nextBytes(big);
    String id = s3.createMultipartUpload(b -> b.bucket(bucket).key("big").checksumAlgorithm(ChecksumAlgorithm.CRC32)).uploadId();
    List<CompletedPart> parts = new ArrayList<>();
    for (int n = 1, at = 0; at < big.length; n++, at += 5 << 20) {
      int number = n;
      byte[] piece = Arrays.copyOfRange(big, at, Math.min(at + (5 << 20), big.length));
      var part = s3.uploadPart(b -> b.bucket(bucket).key("big").uploadId(id).partNumber(number).checksumAlgorithm(ChecksumAlgorithm.CRC32), RequestBody.fromBytes(piece));
      parts.add(CompletedPart.builder().partNumber(n).eTag(part.eTag()).checksumCRC32(part.checksumCRC32()).build());
    }
    s3.completeMultipartUpload(b -> b.bucket(bucket).key("big").uploadId(id).multipartUpload(m -> m.parts(parts)));
    check(Arrays.equals(get("big"), big) && s3.headObject(b -> b.bucket(bucket).key("big")).eTag().endsWith("-3\""), "multipart");

    s3.copyObject(b -> b.sourceBucket(bucket).sourceKey("big").destinationBucket(bucket).destinationKey("copy"));
    check(Arrays.equals(get("copy"), big), "copy");

    try (S3Presigner signer = S3Presigner.builder().endpointOverride(URI.create(endpoint)).serviceConfiguration(S3Configuration.builder().pathStyleAccessEnabled(true).build()).build()) {
      var url = signer.presignGetObject(b -> b.signatureDuration(java.time.Duration.ofMinutes(1)).getObjectRequest(g -> g.bucket(bucket).key(key))).url();
      check(new String(url.openStream().readAllBytes(), StandardCharsets.UTF_8).equals("hello"), "presigned");
    }

    check(code(() -> s3.putObject(b -> b.bucket(bucket).key(key).ifNoneMatch("*"), RequestBody.fromString("x"))).equals("PreconditionFailed"), "If-None-Match");
    check(code(() -> s3.putObject(b -> b.bucket(bucket).key(key).ifMatch(etag), RequestBody.fromString("again"))).equals("ok"), "If-Match");
    check(code(() -> s3.putObject(b -> b.bucket(bucket).key(key).ifMatch(etag), RequestBody.fromString("x"))).equals("PreconditionFailed"), "If-Match, another");
    check(code(() -> get("none")).equals("NoSuchKey"), "no such key");

    for (int i = 0; i < 25; i++) put("many/" + i, "");
    check(s3.listObjectsV2Paginator(b -> b.bucket(bucket).prefix("many/").maxKeys(10)).contents().stream().count() == 25, "list");
    check(s3.listObjectsV2(b -> b.bucket(bucket).delimiter("/")).commonPrefixes().toString().equals("[CommonPrefix(Prefix=dir/), CommonPrefix(Prefix=many/)]"), "folders");

    s3.putBucketVersioning(b -> b.bucket(bucket).versioningConfiguration(v -> v.status(BucketVersioningStatus.ENABLED)));
    String one = s3.putObject(b -> b.bucket(bucket).key("v"), RequestBody.fromString("1")).versionId();
    put("v", "2");
    check(s3.deleteObject(b -> b.bucket(bucket).key("v")).deleteMarker(), "delete marker");
    check(s3.getObjectAsBytes(b -> b.bucket(bucket).key("v").versionId(one)).asUtf8String().equals("1"), "version");

    var all = s3.listObjectVersions(b -> b.bucket(bucket));
    List<ObjectIdentifier> gone = new ArrayList<>();
    all.versions().forEach(v -> gone.add(ObjectIdentifier.builder().key(v.key()).versionId(v.versionId()).build()));
    all.deleteMarkers().forEach(v -> gone.add(ObjectIdentifier.builder().key(v.key()).versionId(v.versionId()).build()));
    check(s3.deleteObjects(b -> b.bucket(bucket).delete(d -> d.objects(gone))).deleted().size() == gone.size(), "delete-many");
    s3.deleteBucket(b -> b.bucket(bucket));
    System.out.println("ok");
  }
}
