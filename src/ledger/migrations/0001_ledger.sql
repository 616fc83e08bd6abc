-- Moments are milliseconds since 1970-01-01 UTC. Names are those of the code: `state` is one of
-- waiting, delivered, dead, expired; reasons, content types and ways are spelled as in metrics.
CREATE TABLE content (
    -- Never used twice, so that the key of an old lease cannot fit another row.
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    canonical_id TEXT    NOT NULL,
    content_id   TEXT    NOT NULL,
    via          TEXT    NOT NULL,
    created      BIGINT  NOT NULL,
    expires      BIGINT  NOT NULL,
    announced    BIGINT  NOT NULL,
    state        TEXT    NOT NULL,
    -- When the content may be claimed; while it is leased, when the lease runs out.
    due          BIGINT  NOT NULL,
    -- The token of the present lease, null when there is none. Tokens count claims.
    lease        BIGINT,
    claims       BIGINT  NOT NULL DEFAULT 0,
    attempts     BIGINT  NOT NULL DEFAULT 0,
    last_reason  TEXT,
    settled      BIGINT,
    records      BIGINT  NOT NULL DEFAULT 0,
    duplicates   BIGINT  NOT NULL DEFAULT 0,
    UNIQUE (tenant, content_type, canonical_id),
    CHECK (state IN ('waiting', 'delivered', 'dead', 'expired')),
    CHECK ((state = 'waiting') = (settled IS NULL)),
    CHECK (state = 'waiting' OR lease IS NULL)
);

-- Serves claims in their order; the last two columns let the gauges be read from it alone.
CREATE INDEX content_waiting ON content (tenant, due, id, created, expires) WHERE state = 'waiting';

CREATE INDEX content_settled ON content (state, settled) WHERE settled IS NOT NULL;

-- What was given up on: a whole content, or with an index one record of it.
CREATE TABLE dead_letter (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    content      BIGINT  NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    record_index BIGINT,
    reason       TEXT    NOT NULL,
    at           BIGINT  NOT NULL
);

CREATE INDEX dead_letter_content ON dead_letter (content);

-- One row, written to find out whether a commit is possible.
CREATE TABLE probe (
    commits BIGINT NOT NULL
);

INSERT INTO probe (commits) VALUES (0);
