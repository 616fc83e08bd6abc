-- Organisations whose administrators consented, collected beside those of the configuration with the
-- credential that the configuration has for the application.
CREATE TABLE tenant (
    id            TEXT   PRIMARY KEY NOT NULL,
    name          TEXT   NOT NULL UNIQUE,
    client_id     TEXT   NOT NULL,
    -- As on the wire, separated by spaces.
    content_types TEXT   NOT NULL,
    added         BIGINT NOT NULL
);

-- Administrators who are being asked. A row goes when its answer was taken, or in time.
CREATE TABLE consent (
    state   TEXT   PRIMARY KEY NOT NULL,
    expires BIGINT NOT NULL,
    -- What the browser came back with, as it came; null until then.
    answer  TEXT
);
