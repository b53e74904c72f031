-- Attempts of a unit that were stopped to make room for another: they do not count.
ALTER TABLE units ADD COLUMN preempted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN preempted INTEGER NOT NULL DEFAULT 0;
-- Why units took the step, where its statuses do not say it: by which rule, and for whom.
ALTER TABLE outbox ADD COLUMN why TEXT NOT NULL DEFAULT '';
