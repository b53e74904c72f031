-- Who made a change: principal, address and request id, parted by newlines.
ALTER TABLE s3_events ADD COLUMN origin TEXT NOT NULL DEFAULT '';

-- When housekeeping was last done and what it did, as JSON: 'sweep', 'lifecycle', and
-- 'lifecycle/' with each bucket that has rules.
CREATE TABLE s3_house (
  name   TEXT   NOT NULL PRIMARY KEY,
  at     BIGINT NOT NULL,
  result TEXT   NOT NULL
);
