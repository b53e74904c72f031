-- Configuration-like records of all packages: see Table.
CREATE TABLE records (
	kind TEXT NOT NULL,
	key BYTEA NOT NULL,
	rev BIGINT NOT NULL,
	json TEXT NOT NULL,
	PRIMARY KEY (kind, key)
) {{without_rowid}};
