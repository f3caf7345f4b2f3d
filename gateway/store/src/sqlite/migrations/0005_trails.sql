-- Which sealed leaves tell of whom, so that a person's access log, and what a participant did, are found without reading all
-- of a log. Each entry is a number of 64 bits that a keyed hash gives of somebody, and a place in the segment; whom a leaf
-- tells of stands in the leaf itself. Entries are in order, by bucket of their first bits: one segment of a log is written at
-- once, and never again. Worked out from sealed leaves: what is missing here is missing from a list, never from the log.
CREATE TABLE audit_trails (
    tenant  TEXT    NOT NULL,
    bucket  INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    entries BLOB    NOT NULL,
    PRIMARY KEY (tenant, bucket, segment)
) STRICT;
