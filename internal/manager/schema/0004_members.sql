-- How each container of an attempt ended, as JSON, where the attempt had several.
ALTER TABLE units ADD COLUMN members TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN members TEXT NOT NULL DEFAULT '';
