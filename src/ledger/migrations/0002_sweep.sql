-- How far each depth of the sweep came when it was last complete.
CREATE TABLE sweep (
    tenant          TEXT   NOT NULL,
    content_type    TEXT   NOT NULL,
    depth           TEXT   NOT NULL,
    -- Everything Microsoft listed before this moment is in the ledger.
    completed_until BIGINT NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (tenant, content_type, depth)
);

-- Windows of content creation times that a backfill has read to their ends.
CREATE TABLE backfill (
    tenant       TEXT   NOT NULL,
    content_type TEXT   NOT NULL,
    window_start BIGINT NOT NULL,
    window_end   BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (tenant, content_type, window_start, window_end)
);

-- When Microsoft last listed the content, and as created when; null if it never did. `created` is
-- what the first announcement said, and a notification says when it was notified.
ALTER TABLE content ADD COLUMN listed BIGINT;
ALTER TABLE content ADD COLUMN listed_created BIGINT;

-- 0 is claimed before 1, whatever is due longer: live content before what a backfill found.
ALTER TABLE content ADD COLUMN lane BIGINT NOT NULL DEFAULT 0;

DROP INDEX content_waiting;

-- Serves claims in their order, one lane at a time; the last two columns let the gauges be read from
-- it alone.
CREATE INDEX content_waiting ON content (tenant, lane, due, id, created, expires)
    WHERE state = 'waiting';
