-- no-transaction
-- Finds the content of a feed and a day, for the completeness report.
CREATE INDEX CONCURRENTLY content_created
    ON content (tenant, content_type, (COALESCE(listed_created, created)));
