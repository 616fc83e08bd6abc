-- One row: the last step that a version must know to work with this ledger. A step only adds, so that
-- older versions go on beside it; one that takes something away, or gives it another meaning, writes
-- its own number here.
CREATE TABLE schema_floor (
    step BIGINT NOT NULL
);

INSERT INTO schema_floor (step) VALUES (9);
