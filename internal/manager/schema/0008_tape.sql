-- What the scheduler was told and what it decided, batch by batch, from the begin of each term.
CREATE TABLE tape (
  term        BIGINT NOT NULL,
  seq         BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  size        BIGINT NOT NULL,
  data        BYTEA NOT NULL,
  PRIMARY KEY (term, seq)
);
