// The object store through the AWS SDK for JavaScript v3, with no option but what the
// environment says. The first argument names a bucket of its own.
const { S3Client, CreateBucketCommand, PutObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, CopyObjectCommand, DeleteObjectsCommand,
  PutBucketVersioningCommand, ListObjectVersionsCommand, DeleteBucketCommand, DeleteObjectCommand, paginateListObjectsV2 } = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const assert = require("assert");
const crypto = require("crypto");

const s3 = new S3Client({ forcePathStyle: true });
const Bucket = process.argv[2];
const bytes = async (out) => Buffer.from(await out.Body.transformToByteArray());
const code = async (command) => {
  try {
    await s3.send(command);
    return "ok";
  } catch (e) {
    return e.name;
  }
};

(async () => {
  await s3.send(new CreateBucketCommand({ Bucket }));
  const Key = "dir//ü +%/k";
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: "hello", Metadata: { who: "me" }, ContentType: "text/x" }));
  const out = await s3.send(new GetObjectCommand({ Bucket, Key }));
  assert.equal((await bytes(out)).toString(), "hello");
  assert.deepEqual([out.Metadata.who, out.ContentType], ["me", "text/x"]);
  assert.equal((await bytes(await s3.send(new GetObjectCommand({ Bucket, Key, Range: "bytes=1-3" })))).toString(), "ell");

  const big = crypto.randomBytes(11 << 20);
  await new Upload({ client: s3, params: { Bucket, Key: "big", Body: big }, partSize: 5 << 20, queueSize: 3 }).done();
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "big" }));
  assert.ok(head.ETag.endsWith('-3"'), head.ETag);
  assert.ok((await bytes(await s3.send(new GetObjectCommand({ Bucket, Key: "big" })))).equals(big));

  await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/big` }));
  assert.ok((await bytes(await s3.send(new GetObjectCommand({ Bucket, Key: "copy" })))).equals(big));

  if (process.env.AWS_ENDPOINT_URL.startsWith("http:")) { // fetch knows no authority of ours
    const got = await fetch(await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key }), { expiresIn: 60 }));
    assert.equal(await got.text(), "hello");
    const put = await fetch(await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "signed" })), { method: "PUT", body: "by url" });
    assert.equal(put.status, 200);
    assert.equal((await bytes(await s3.send(new GetObjectCommand({ Bucket, Key: "signed" })))).toString(), "by url");
  }

  assert.equal(await code(new PutObjectCommand({ Bucket, Key, Body: "x", IfNoneMatch: "*" })), "PreconditionFailed");
  assert.equal(await code(new PutObjectCommand({ Bucket, Key, Body: "again", IfMatch: out.ETag })), "ok");
  assert.equal(await code(new PutObjectCommand({ Bucket, Key, Body: "x", IfMatch: out.ETag })), "PreconditionFailed");
  assert.equal(await code(new GetObjectCommand({ Bucket, Key: "none" })), "NoSuchKey");

  for (let i = 0; i < 25; i++) await s3.send(new PutObjectCommand({ Bucket, Key: `many/${i}`, Body: "" }));
  let n = 0, pages = 0;
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 10 }, { Bucket, Prefix: "many/" })) {
    pages++;
    n += page.Contents.length;
  }
  assert.deepEqual([n, pages], [25, 3]);
  const folders = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: "/" }));
  assert.deepEqual(folders.CommonPrefixes.map((p) => p.Prefix), ["dir/", "many/"]);

  await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }));
  const one = await s3.send(new PutObjectCommand({ Bucket, Key: "v", Body: "1" }));
  await s3.send(new PutObjectCommand({ Bucket, Key: "v", Body: "2" }));
  const gone = await s3.send(new DeleteObjectCommand({ Bucket, Key: "v" }));
  assert.ok(gone.DeleteMarker);
  assert.equal((await bytes(await s3.send(new GetObjectCommand({ Bucket, Key: "v", VersionId: one.VersionId })))).toString(), "1");

  const all = await s3.send(new ListObjectVersionsCommand({ Bucket }));
  const Objects = [...all.Versions, ...all.DeleteMarkers].map(({ Key, VersionId }) => ({ Key, VersionId }));
  const deleted = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  assert.equal(deleted.Deleted.length, Objects.length);
  await s3.send(new DeleteBucketCommand({ Bucket }));
  console.log("ok");
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
