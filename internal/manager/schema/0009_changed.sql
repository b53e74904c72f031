-- When the units of a job last changed (µs): statusSummaryLastUpdatedAt of an array.
ALTER TABLE jobs ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
