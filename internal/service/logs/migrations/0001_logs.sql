-- Times are milliseconds since 1970, as CloudWatch Logs counts them.

CREATE TABLE log_groups (
  id             {{serial}},
  name           BYTEA  NOT NULL UNIQUE, -- of a deleted group: 0x00 and its id
  created_ms     BIGINT NOT NULL,
  retention_days BIGINT NOT NULL,        -- 0 = for ever
  bytes          BIGINT NOT NULL,        -- of text, as it was ingested
  class          TEXT   NOT NULL,
  tags           TEXT   NOT NULL,        -- JSON object
  deleted        BIGINT NOT NULL         -- 1 = Purge takes it apart
);

CREATE TABLE log_streams (
  id          {{serial}},
  group_id    BIGINT NOT NULL,
  name        BYTEA  NOT NULL,  -- of a deleted stream: 0x00 and its id
  created_ms  BIGINT NOT NULL,
  next_number BIGINT NOT NULL,  -- of the next event; grows only
  first_ms    BIGINT,           -- NULL until there is an event
  last_ms     BIGINT NOT NULL,  -- created_ms until there is an event
  ingested_ms BIGINT,
  deleted     BIGINT NOT NULL,
  UNIQUE (group_id, name)
);
CREATE INDEX log_streams_by_last ON log_streams (group_id, last_ms, id);
CREATE INDEX log_streams_deleted ON log_streams (id) WHERE deleted = 1;

-- A chunk is up to 256 KiB of text (one longer event is a chunk of its own) whose event
-- times lie within one minute; so who looks for a time starts a minute before it.
CREATE TABLE log_chunks (
  stream_id   BIGINT NOT NULL,
  number      BIGINT NOT NULL,  -- of its first event
  group_id    BIGINT NOT NULL,
  events      BIGINT NOT NULL,
  first_ms    BIGINT NOT NULL,  -- earliest and latest event
  last_ms     BIGINT NOT NULL,
  ingested_ms BIGINT NOT NULL,
  size        BIGINT NOT NULL,  -- bytes of text
  data        BYTEA  NOT NULL,
  PRIMARY KEY (stream_id, number)
) {{without_rowid}};
CREATE INDEX log_chunks_by_time ON log_chunks (group_id, first_ms, stream_id, number, last_ms);
