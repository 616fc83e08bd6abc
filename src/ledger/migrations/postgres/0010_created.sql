-- no-transaction
-- Finds the content of a feed and a day, for the completeness report. It may be there: the server
-- makes it whole although whoever asked for it was killed before noting the step.
CREATE INDEX CONCURRENTLY IF NOT EXISTS content_created
    ON content (tenant, content_type, (COALESCE(listed_created, created)));
