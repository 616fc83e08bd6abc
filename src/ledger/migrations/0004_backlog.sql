-- How much each tenant has waiting, so that nobody has to count it. Changed in the transaction that
-- changes the state of content, so that it is right whenever a process dies.
CREATE TABLE backlog (
    tenant  TEXT   PRIMARY KEY NOT NULL,
    waiting BIGINT NOT NULL
) WITHOUT ROWID;

INSERT INTO backlog (tenant, waiting)
    SELECT tenant, COUNT(*) FROM content WHERE state = 'waiting' GROUP BY tenant;

-- The gauges look at the first entry of each tenant. What they show never changes while content
-- waits, so claims and retries leave these alone.
CREATE INDEX content_oldest ON content (tenant, created) WHERE state = 'waiting';
CREATE INDEX content_expiring ON content (tenant, expires) WHERE state = 'waiting';

DROP INDEX content_waiting;

-- Serves claims in their order, one lane at a time; with the lease, what a process that is gone
-- has left is found without reading what waits.
CREATE INDEX content_waiting ON content (tenant, lane, due, id, lease) WHERE state = 'waiting';

-- From here on `listed` is the moment that was noted first, or noted when `listed_created` changed.
