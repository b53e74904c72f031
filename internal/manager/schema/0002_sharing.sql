-- What the shares of a queue with a fair share policy have used: thousandths of a vCPU times
-- milliseconds, of attempts that ended in the minute that begins at `at`.
CREATE TABLE usage (
  at          BIGINT NOT NULL,
  queue       TEXT NOT NULL,
  share       TEXT NOT NULL,
  amount      BIGINT NOT NULL,
  PRIMARY KEY (at, queue, share)
) {{without_rowid}};

-- Which jobs need which consumable resource.
CREATE TABLE consumers (
  resource    TEXT NOT NULL,
  job         BIGINT NOT NULL,
  PRIMARY KEY (resource, job)
) {{without_rowid}};
CREATE INDEX consumers_job ON consumers (job);
