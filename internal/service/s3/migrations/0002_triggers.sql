-- Jobs that placed objects ask for and that are not submitted yet.
CREATE TABLE s3_triggers (
  seq        BIGINT NOT NULL PRIMARY KEY,  -- of the object's version; makes the job's token
  due        BIGINT NOT NULL,
  since      BIGINT NOT NULL,
  tries      BIGINT NOT NULL,
  queue      TEXT   NOT NULL,
  definition TEXT   NOT NULL,
  bucket     TEXT   NOT NULL,
  key        BYTEA  NOT NULL,
  vid        TEXT   NOT NULL,
  size       BIGINT NOT NULL,
  etag       TEXT   NOT NULL
);
CREATE INDEX s3_triggers_by_due ON s3_triggers (due, seq);
