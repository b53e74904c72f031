-- Times are microseconds since 1970. Keys are bytes and sort as bytes.

CREATE TABLE s3_buckets (
  id         BIGINT NOT NULL PRIMARY KEY,
  name       TEXT   NOT NULL UNIQUE,
  created    BIGINT NOT NULL,
  versioning TEXT   NOT NULL,  -- '', 'Enabled' or 'Suspended'
  config     TEXT   NOT NULL   -- JSON: ACL, policy, CORS, tags, …
);

-- What a key names now; a delete marker too.
CREATE TABLE s3_objects (
  bucket   BIGINT NOT NULL,
  key      BYTEA  NOT NULL,
  rank     BIGINT NOT NULL,  -- minus the sequence number of the version: the newest sorts first
  vid      TEXT   NOT NULL,  -- version id; 'null' for those made without versioning
  marker   BIGINT NOT NULL,  -- 1 = delete marker
  modified BIGINT NOT NULL,
  size     BIGINT NOT NULL,
  etag     TEXT   NOT NULL,  -- with its quotes
  algo     TEXT   NOT NULL,  -- algorithm and type of the client's checksum, 'CRC32/FULL_OBJECT'
  crc      BIGINT NOT NULL,  -- CRC-32C of a content kept inline
  place    TEXT   NOT NULL,  -- '' = s3_inline, 'b:' and a blob id, or 'u:' and the upload whose parts it is
  attrs    TEXT   NOT NULL,  -- JSON: headers, metadata, checksum, locks
  tags     TEXT   NOT NULL,  -- JSON object, or ''
  PRIMARY KEY (bucket, key)
) {{without_rowid}};

-- What keys named before, in buckets that keep versions.
CREATE TABLE s3_versions (
  bucket   BIGINT NOT NULL,
  key      BYTEA  NOT NULL,
  rank     BIGINT NOT NULL,
  vid      TEXT   NOT NULL,
  marker   BIGINT NOT NULL,
  modified BIGINT NOT NULL,
  size     BIGINT NOT NULL,
  etag     TEXT   NOT NULL,
  algo     TEXT   NOT NULL,
  crc      BIGINT NOT NULL,
  place    TEXT   NOT NULL,
  attrs    TEXT   NOT NULL,
  tags     TEXT   NOT NULL,
  PRIMARY KEY (bucket, key, rank)
) {{without_rowid}};

-- For the sweep, which asks who names a content.
CREATE INDEX s3_objects_by_place ON s3_objects (place) WHERE place <> '';
CREATE INDEX s3_versions_by_place ON s3_versions (place) WHERE place <> '';

-- Contents of at most 32 KiB, apart from the rows that listings read.
CREATE TABLE s3_inline (
  id   {{serial}},             -- minus the rank of its version
  data BYTEA NOT NULL
);

CREATE TABLE s3_uploads (
  id        TEXT   NOT NULL PRIMARY KEY,
  bucket    BIGINT NOT NULL,
  key       BYTEA  NOT NULL,
  initiated BIGINT NOT NULL,
  algo      TEXT   NOT NULL,
  attrs     TEXT   NOT NULL,
  tags      TEXT   NOT NULL
);
CREATE INDEX s3_uploads_by_key ON s3_uploads (bucket, key, initiated, id);

-- Parts of uploads, and afterwards of the objects that were made of them.
CREATE TABLE s3_parts (
  upload   TEXT   NOT NULL,
  number   BIGINT NOT NULL,
  start    BIGINT NOT NULL,  -- in the finished object; 0 before
  size     BIGINT NOT NULL,
  modified BIGINT NOT NULL,
  etag     TEXT   NOT NULL,
  sum      TEXT   NOT NULL,  -- by the algorithm of the upload, else CRC64NVME
  blob     TEXT   NOT NULL,
  PRIMARY KEY (upload, number)
) {{without_rowid}};

CREATE INDEX s3_parts_by_blob ON s3_parts (blob);

-- Contents that no row names any more and whose files may still be there.
CREATE TABLE s3_trash (
  blob TEXT NOT NULL PRIMARY KEY
) {{without_rowid}};

-- What happened to objects, for those who follow; trimmed after a day.
CREATE TABLE s3_events (
  seq    BIGINT NOT NULL PRIMARY KEY,
  at     BIGINT NOT NULL,
  name   TEXT   NOT NULL,  -- 'ObjectCreated:Put'
  bucket TEXT   NOT NULL,
  key    BYTEA  NOT NULL,
  vid    TEXT   NOT NULL,
  size   BIGINT NOT NULL,
  etag   TEXT   NOT NULL
) {{without_rowid}};
