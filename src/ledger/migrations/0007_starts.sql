-- When each subscription was last started, by the service or by a command, and from when on it may be
-- started again.
CREATE TABLE start (
    tenant       TEXT   NOT NULL,
    content_type TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    allowed      BIGINT NOT NULL,
    PRIMARY KEY (tenant, content_type)
);
