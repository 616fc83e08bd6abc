-- How many attempts in a row found a body that is no JSON. A lost lease neither counts nor ends the
-- row, so the last reason and the attempts do not tell. A version without this column leaves it as
-- it is; rows from before begin anew.
ALTER TABLE content ADD COLUMN undecodable BIGINT NOT NULL DEFAULT 0;
