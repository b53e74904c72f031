-- Bit 4 of a job's flags says that one of its units has a row: jobs without it are read
-- alone. Of jobs stored before nobody knows.
UPDATE jobs SET flags = flags | 4;
