-- What the identities of records are hashed with: random, so that nobody outside can make two
-- records with one key, and made once, so that stored keys stay good.
CREATE TABLE identity_secret (
    secret BLOB NOT NULL
);

INSERT INTO identity_secret (secret) VALUES (randomblob(16));

-- The identities of confirmed records, 16 bytes each and packed, by the content that delivered
-- them. They go when the window of records has passed, long before their content does.
CREATE TABLE identity (
    id      INTEGER PRIMARY KEY,
    content BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    number  BIGINT NOT NULL,
    keys    BLOB   NOT NULL
);

-- Finds the beginning of the window without reading keys.
CREATE INDEX identity_at ON identity (at, id, number);
