-- What proofs are made of: the roots of complete subtrees of 256 leaves (level 1), of 65,536 (level 2), and so on. Worked
-- out from the leaves when they are sealed; a proof is checked against its checkpoint before it is given out, so that
-- nothing here has to be believed.
CREATE TABLE audit_subtrees (
    tenant TEXT    NOT NULL,
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    root   BLOB    NOT NULL,
    PRIMARY KEY (tenant, level, idx)
) STRICT, WITHOUT ROWID;

-- The logs of others that this hub is a witness of: the head that was cosigned last.
CREATE TABLE witnessed (
    log  TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- The leaf of the last attempt.
ALTER TABLE deliveries ADD COLUMN leaf INTEGER;
