-- Where the other nodes of a multi-node parallel job reach a node that has started.
ALTER TABLE units ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN address TEXT NOT NULL DEFAULT '';
-- How many nodes a multi-node parallel job has; 0 for any other.
ALTER TABLE jobs ADD COLUMN nodes INTEGER NOT NULL DEFAULT 0;
