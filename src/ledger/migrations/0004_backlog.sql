-- How much each tenant has waiting, so that nobody has to count it. Kept by the database itself, in
-- the transaction that changes it, so that it is right whoever writes and whenever a process dies.
CREATE TABLE backlog (
    tenant  TEXT   PRIMARY KEY NOT NULL,
    waiting BIGINT NOT NULL
) WITHOUT ROWID;

INSERT INTO backlog (tenant, waiting)
    SELECT tenant, COUNT(*) FROM content WHERE state = 'waiting' GROUP BY tenant;

CREATE TRIGGER backlog_announced AFTER INSERT ON content WHEN NEW.state = 'waiting' BEGIN
    INSERT INTO backlog (tenant, waiting) VALUES (NEW.tenant, 1)
        ON CONFLICT (tenant) DO UPDATE SET waiting = waiting + 1;
END;

CREATE TRIGGER backlog_settled AFTER UPDATE OF state ON content
WHEN OLD.state = 'waiting' AND NEW.state <> 'waiting' BEGIN
    UPDATE backlog SET waiting = waiting - 1 WHERE tenant = OLD.tenant;
END;

CREATE TRIGGER backlog_replayed AFTER UPDATE OF state ON content
WHEN OLD.state <> 'waiting' AND NEW.state = 'waiting' BEGIN
    INSERT INTO backlog (tenant, waiting) VALUES (NEW.tenant, 1)
        ON CONFLICT (tenant) DO UPDATE SET waiting = waiting + 1;
END;

CREATE TRIGGER backlog_deleted AFTER DELETE ON content WHEN OLD.state = 'waiting' BEGIN
    UPDATE backlog SET waiting = waiting - 1 WHERE tenant = OLD.tenant;
END;

-- The gauges look at the first entry of each tenant. What they show never changes while content
-- waits, so claims and retries leave these alone.
CREATE INDEX content_oldest ON content (tenant, created) WHERE state = 'waiting';
CREATE INDEX content_expiring ON content (tenant, expires) WHERE state = 'waiting';

DROP INDEX content_waiting;

-- Serves claims in their order, one lane at a time; with the lease, what a process that is gone
-- has left is found without reading what waits.
CREATE INDEX content_waiting ON content (tenant, lane, due, id, lease) WHERE state = 'waiting';

-- From here on `listed` is the moment that was noted first, or noted when `listed_created` changed.
