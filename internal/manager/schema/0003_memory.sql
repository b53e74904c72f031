-- The memory of a unit's next or current attempt, where it is not what its job asks for:
-- it grows when an attempt ran out of it and the job wants that (tag drover:on-oom).
ALTER TABLE units ADD COLUMN memory BIGINT NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN memory BIGINT NOT NULL DEFAULT 0;
