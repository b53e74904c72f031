-- Jobs. Columns from status on change; the rest is written once.
CREATE TABLE jobs (
  key         {{serial}},
  id          BYTEA NOT NULL,
  name        TEXT NOT NULL,
  queue       TEXT NOT NULL,
  definition  TEXT NOT NULL,
  share       TEXT NOT NULL,
  token       TEXT,
  size        INTEGER NOT NULL,
  created     BIGINT NOT NULL,
  spec        BYTEA NOT NULL,
  status      INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  base        INTEGER NOT NULL,
  base_reason TEXT NOT NULL,
  counts      TEXT NOT NULL,
  flags       INTEGER NOT NULL,
  user_reason TEXT NOT NULL,
  ready       BIGINT NOT NULL,
  stopped     BIGINT NOT NULL,
  tags        TEXT
);
CREATE UNIQUE INDEX jobs_id ON jobs (id);
CREATE UNIQUE INDEX jobs_token ON jobs (token) WHERE token IS NOT NULL;
CREATE INDEX jobs_queue ON jobs (queue, status, key);
CREATE INDEX jobs_live ON jobs (key) WHERE status < 6;
CREATE INDEX jobs_stopped ON jobs (stopped) WHERE status >= 6;

-- Units that have left their job's base: status and latest attempt.
CREATE TABLE units (
  job         BIGINT NOT NULL,
  idx         INTEGER NOT NULL,
  status      INTEGER NOT NULL,
  flags       INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  user_reason TEXT NOT NULL,
  ready       BIGINT NOT NULL,
  attempt     INTEGER NOT NULL,
  fence       BIGINT NOT NULL,
  host        TEXT NOT NULL,
  environment TEXT NOT NULL,
  log         TEXT NOT NULL,
  placed      BIGINT NOT NULL,
  started     BIGINT NOT NULL,
  stopped     BIGINT NOT NULL,
  why         TEXT NOT NULL,
  ended       INTEGER NOT NULL,
  exit_code   INTEGER,
  exit_reason TEXT NOT NULL,
  cause       TEXT NOT NULL,
  error_line  TEXT NOT NULL,
  cpu_ms      BIGINT NOT NULL,
  peak_kib    BIGINT NOT NULL,
  bytes_in    BIGINT NOT NULL,
  bytes_out   BIGINT NOT NULL,
  cost_micros BIGINT,
  PRIMARY KEY (job, idx)
) {{without_rowid}};

-- Ended attempts that another one followed.
CREATE TABLE attempts (
  job         BIGINT NOT NULL,
  idx         INTEGER NOT NULL,
  status      INTEGER NOT NULL,
  flags       INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  user_reason TEXT NOT NULL,
  ready       BIGINT NOT NULL,
  attempt     INTEGER NOT NULL,
  fence       BIGINT NOT NULL,
  host        TEXT NOT NULL,
  environment TEXT NOT NULL,
  log         TEXT NOT NULL,
  placed      BIGINT NOT NULL,
  started     BIGINT NOT NULL,
  stopped     BIGINT NOT NULL,
  why         TEXT NOT NULL,
  ended       INTEGER NOT NULL,
  exit_code   INTEGER,
  exit_reason TEXT NOT NULL,
  cause       TEXT NOT NULL,
  error_line  TEXT NOT NULL,
  cpu_ms      BIGINT NOT NULL,
  peak_kib    BIGINT NOT NULL,
  bytes_in    BIGINT NOT NULL,
  bytes_out   BIGINT NOT NULL,
  cost_micros BIGINT,
  PRIMARY KEY (job, idx, attempt)
) {{without_rowid}};

-- What happened, for events and followers: one row per run of units that took one step.
CREATE TABLE outbox (
  seq         {{serial}},
  at          BIGINT NOT NULL,
  job         BIGINT NOT NULL,
  lo          INTEGER NOT NULL,
  hi          INTEGER NOT NULL,
  before      INTEGER NOT NULL,
  after       INTEGER NOT NULL
);

CREATE TABLE hosts (
  id          TEXT PRIMARY KEY,
  json        TEXT NOT NULL
);

-- One row: the term of the leader and the number of its last batch.
CREATE TABLE leader (
  term        BIGINT NOT NULL,
  seq         BIGINT NOT NULL
);
