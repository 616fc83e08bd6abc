-- The processes that share this ledger. One that is gone stays for a while: what it asked Microsoft
-- for counts for another minute, and what it delivered last is still to be read by the others.
CREATE TABLE replica (
    id      TEXT   PRIMARY KEY NOT NULL,
    name    TEXT   NOT NULL,
    address TEXT   NOT NULL,
    version TEXT   NOT NULL,
    started BIGINT NOT NULL,
    seen    BIGINT NOT NULL,
    -- Counts signs of life. Others compare it with what they saw, so that no two clocks must agree.
    beat    BIGINT NOT NULL,
    -- How long it may be silent before others take its duties, in milliseconds.
    term    BIGINT NOT NULL,
    -- 0: it takes no duties any more, because it drains.
    taking  BIGINT NOT NULL,
    -- In millionths of every tenant's budget: what it may use, and what it used in the last minute.
    share   BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    -- When it left, or others found it silent; null while it lives.
    gone    BIGINT
);

-- What exactly one of them does. The token counts its holders: what is written under an older one is
-- refused.
CREATE TABLE duty (
    -- Empty where it is of no tenant.
    tenant TEXT   NOT NULL,
    kind   TEXT   NOT NULL,
    holder TEXT,
    token  BIGINT NOT NULL,
    since  BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind)
);

-- One row, changed by whoever divides the budget, so that no two do it at once.
CREATE TABLE roll (
    beats BIGINT NOT NULL
);

INSERT INTO roll (beats) VALUES (0);

-- Until when a tenant is left alone, because Microsoft told one of them so.
CREATE TABLE pause (
    tenant TEXT   PRIMARY KEY NOT NULL,
    until  BIGINT NOT NULL
);

-- Who stored it, and as which of its rows; null where nobody shares the ledger.
ALTER TABLE identity ADD COLUMN replica TEXT;
ALTER TABLE identity ADD COLUMN seq BIGINT;

-- Finds what another replica stored since the last look.
CREATE INDEX identity_seq ON identity (replica, seq) WHERE replica IS NOT NULL;

-- Finds what was stored of a content by who had it before.
CREATE INDEX identity_content ON identity (content) WHERE replica IS NOT NULL;
