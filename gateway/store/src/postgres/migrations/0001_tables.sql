-- The same tables as in SQLite, and the same words: ids, states, sizes, times of receipt and ends of directives are in the
-- clear; whatever a record says is not. A BYTEA is either a keyed hash of 32 bytes (…_hash, blind, business, digest, mac,
-- sign_in) or an AES-256-GCM ciphertext (flags, wrapped, sealed). Times are nanoseconds since 1970-01-01T00:00:00Z. Text
-- is compared byte by byte, so that order is the same on every server.
--
-- Every table of a tenant's data is split by tenant, and its keys begin with the tenant, so that a distributed PostgreSQL
-- can put tenants on nodes of their own. Nothing reaches across: no foreign key, no trigger, no sequence. What grows
-- without gaps (leaves, ordinals) is counted in the tenant's row of audit_lengths, which whoever writes locks first.

CREATE TABLE readiness (
    sole INTEGER PRIMARY KEY CHECK (sole = 1),
    beat BIGINT NOT NULL
);
INSERT INTO readiness (sole, beat) VALUES (1, 0);

-- The registry holds organisations, no subjects.
CREATE TABLE registry_version (
    sole    INTEGER PRIMARY KEY CHECK (sole = 1),
    version BIGINT NOT NULL
);
INSERT INTO registry_version (sole, version) VALUES (1, 0);

CREATE TABLE registry_entries (
    section TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (section, id)
);

-- What live traffic could not map, by day in Japan. Names of columns, codes and characters; nothing of any person.
CREATE TABLE coverage (
    day     TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    place   TEXT COLLATE "C" NOT NULL,
    what    TEXT COLLATE "C" NOT NULL,
    rows    BIGINT NOT NULL,
    PRIMARY KEY (channel, day, kind, place, what)
);

CREATE TABLE tenant_keys (
    tenant  TEXT COLLATE "C" NOT NULL,
    wrapped BYTEA NOT NULL,
    PRIMARY KEY (tenant)
) PARTITION BY HASH (tenant);

CREATE TABLE subjects (
    tenant  TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    wrapped BYTEA  NOT NULL,
    version BIGINT NOT NULL,
    -- The records whose newest version says that nothing may be disclosed; encrypted for this version.
    flags   BYTEA  NOT NULL,
    PRIMARY KEY (tenant, subject)
) PARTITION BY HASH (tenant);

CREATE TABLE identifiers (
    tenant  TEXT COLLATE "C" NOT NULL,
    blind   BYTEA NOT NULL,
    system  TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, blind)
) PARTITION BY HASH (tenant);
CREATE INDEX identifiers_of_subject ON identifiers (tenant, subject, system, blind);

CREATE TABLE records (
    tenant   TEXT COLLATE "C" NOT NULL,
    record   TEXT COLLATE "C" NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    business BYTEA  NOT NULL,
    newest   BIGINT NOT NULL,
    PRIMARY KEY (tenant, record)
) PARTITION BY HASH (tenant);
CREATE UNIQUE INDEX records_of_subject ON records (tenant, subject, kind, business);

CREATE TABLE record_versions (
    tenant      TEXT COLLATE "C" NOT NULL,
    record      TEXT COLLATE "C" NOT NULL,
    version     BIGINT  NOT NULL,
    sealed      BYTEA   NOT NULL,
    digest      BYTEA   NOT NULL,
    deleted     BOOLEAN NOT NULL,
    exchange    TEXT COLLATE "C" NOT NULL,
    sender      TEXT COLLATE "C" NOT NULL,
    recorded_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant, record, version)
) PARTITION BY HASH (tenant);

CREATE TABLE directives (
    tenant    TEXT COLLATE "C" NOT NULL,
    subject   TEXT COLLATE "C" NOT NULL,
    directive TEXT COLLATE "C" NOT NULL,
    -- When it expires or was withdrawn, whichever is first; the largest number where it does not end.
    ends_at   BIGINT NOT NULL,
    sealed    BYTEA  NOT NULL,
    PRIMARY KEY (tenant, subject, directive)
) PARTITION BY HASH (tenant);
CREATE INDEX directives_by_end ON directives (tenant, subject, ends_at);

CREATE TABLE links (
    tenant  TEXT COLLATE "C" NOT NULL,
    sign_in BYTEA NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    -- Encrypted: the last day of a proxy's link tells the child's birthday.
    sealed  BYTEA NOT NULL,
    PRIMARY KEY (tenant, sign_in, subject)
) PARTITION BY HASH (tenant);

-- An exchange may have rows of several tenants, and only its sender ever asks for it: so it belongs to the sender, and
-- so do its rows. A receipt is then read, and a repeated body recognised, in one place.
CREATE TABLE exchanges (
    sender           TEXT COLLATE "C" NOT NULL,
    exchange         TEXT COLLATE "C" NOT NULL,
    idempotency_hash BYTEA,
    digest           BYTEA   NOT NULL,
    layout           TEXT,
    charset          TEXT,
    received_at      BIGINT  NOT NULL,
    complete         BOOLEAN NOT NULL,
    PRIMARY KEY (sender, exchange),
    UNIQUE (sender, idempotency_hash)
) PARTITION BY HASH (sender);
CREATE INDEX exchanges_by_time ON exchanges (received_at, exchange);

CREATE TABLE exchange_rows (
    sender   TEXT COLLATE "C" NOT NULL,
    exchange TEXT COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,
    tenant   TEXT COLLATE "C" NOT NULL,
    kind     TEXT,
    state    TEXT   NOT NULL,
    record   TEXT,
    version  BIGINT,
    -- Columns, codes and reasons; never a value.
    faults   TEXT   NOT NULL,
    leaf     BIGINT,
    -- The row as it was sent, of refused rows only.
    sealed   BYTEA,
    PRIMARY KEY (sender, exchange, number)
) PARTITION BY HASH (sender);
CREATE INDEX exchange_rows_refused ON exchange_rows (sender, exchange, number) WHERE state = 'refused';
-- Sources of refused rows are kept for a while only.
CREATE INDEX exchange_rows_sealed ON exchange_rows (tenant, exchange, number) WHERE sealed IS NOT NULL;

CREATE TABLE waiting_rows (
    tenant   TEXT COLLATE "C" NOT NULL,
    ordinal  BIGINT NOT NULL,
    exchange TEXT COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,
    sender   TEXT COLLATE "C" NOT NULL,
    sealed   BYTEA  NOT NULL,
    PRIMARY KEY (tenant, ordinal)
) PARTITION BY HASH (tenant);

CREATE TABLE waiting_identifiers (
    tenant        TEXT COLLATE "C" NOT NULL,
    blind         BYTEA   NOT NULL,
    system        TEXT COLLATE "C" NOT NULL,
    single_valued BOOLEAN NOT NULL,
    ordinal       BIGINT  NOT NULL,
    PRIMARY KEY (tenant, blind, ordinal)
) PARTITION BY HASH (tenant);
CREATE INDEX waiting_identifiers_of_row ON waiting_identifiers (tenant, ordinal);

CREATE TABLE deliveries (
    tenant       TEXT COLLATE "C" NOT NULL,
    delivery     TEXT COLLATE "C" NOT NULL,
    -- Grows in commit order: "oldest" and "newest" are told by it.
    ordinal      BIGINT NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    channel      TEXT COLLATE "C" NOT NULL,
    -- The place in the subject's line on the channel: one more than the last that is there.
    place        BIGINT NOT NULL,
    record       TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    exchange     TEXT COLLATE "C" NOT NULL,
    number       BIGINT NOT NULL,
    state        TEXT COLLATE "C" NOT NULL,
    attempts     BIGINT NOT NULL,
    next_at      BIGINT NOT NULL,
    last_outcome TEXT,
    batch        TEXT COLLATE "C",
    lease_until  BIGINT,
    -- The leaf of the last attempt.
    leaf         BIGINT,
    PRIMARY KEY (tenant, delivery),
    UNIQUE (tenant, subject, channel, place)
) PARTITION BY HASH (tenant);
CREATE INDEX deliveries_due ON deliveries (tenant, channel, ordinal) WHERE state = 'pending';
CREATE INDEX deliveries_unsettled ON deliveries (tenant, subject, channel, place)
    WHERE state IN ('dead', 'held', 'pending');
CREATE INDEX deliveries_by_batch ON deliveries (tenant, batch) WHERE batch IS NOT NULL;
CREATE INDEX deliveries_by_row ON deliveries (tenant, exchange, number);
CREATE INDEX deliveries_by_state ON deliveries (tenant, state, ordinal);
-- They go with the version that they carry.
CREATE INDEX deliveries_by_record ON deliveries (tenant, record, version);
CREATE INDEX deliveries_by_age ON deliveries (tenant, ordinal);

CREATE TABLE audit_leaves (
    tenant     TEXT COLLATE "C" NOT NULL,
    idx        BIGINT NOT NULL,
    bytes      BYTEA  NOT NULL,
    hash       BYTEA  NOT NULL,
    mac        BYTEA  NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, idx)
) PARTITION BY HASH (tenant);

-- The head of each tenant's log: how many leaves were written and how many of them lie under the newest checkpoint,
-- sealed like a leaf. Whoever writes anything of the tenant locks this row first: so leaves are dense, and a version
-- that was checked is still the subject's when the transaction commits. Written together with the tenant's key, so that
-- a whole log cannot be cut off either.
CREATE TABLE audit_lengths (
    tenant  TEXT COLLATE "C" NOT NULL,
    size    BIGINT NOT NULL,
    sealed  BIGINT NOT NULL,
    mac     BYTEA  NOT NULL,
    -- The next ordinal of a delivery, or of a row that waits.
    ordinal BIGINT NOT NULL,
    PRIMARY KEY (tenant)
) PARTITION BY HASH (tenant);

CREATE TABLE checkpoints (
    tenant    TEXT COLLATE "C" NOT NULL,
    size      BIGINT NOT NULL,
    root      BYTEA  NOT NULL,
    frontier  BYTEA  NOT NULL,
    note      TEXT   NOT NULL,
    sealed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, size)
) PARTITION BY HASH (tenant);

-- What proofs are made of: the roots of complete subtrees of 256 leaves (level 1), of 65,536 (level 2), and so on.
CREATE TABLE audit_subtrees (
    tenant TEXT COLLATE "C" NOT NULL,
    level  BIGINT NOT NULL,
    idx    BIGINT NOT NULL,
    root   BYTEA  NOT NULL,
    PRIMARY KEY (tenant, level, idx)
) PARTITION BY HASH (tenant);

-- Which sealed leaves tell of whom: a number of 64 bits that a keyed hash gives of somebody, and a place in the segment, in
-- order, by bucket of the first bits. Worked out from the leaves.
CREATE TABLE audit_trails (
    tenant  TEXT COLLATE "C" NOT NULL,
    bucket  BIGINT NOT NULL,
    segment BIGINT NOT NULL,
    entries BYTEA  NOT NULL,
    PRIMARY KEY (tenant, bucket, segment)
) PARTITION BY HASH (tenant);

-- The logs of others that this hub is a witness of: the head that was cosigned last.
CREATE TABLE witnessed (
    log  TEXT COLLATE "C" PRIMARY KEY,
    size BIGINT NOT NULL,
    root BYTEA  NOT NULL
);
