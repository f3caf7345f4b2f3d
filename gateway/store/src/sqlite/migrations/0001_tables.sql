-- Ids, states, sizes, times of receipt and ends of directives are in the clear; whatever a record says is not. A BLOB is
-- either a keyed hash of 32 bytes (…_hash, blind, business, digest, mac, sign_in) or an AES-256-GCM ciphertext (flags,
-- wrapped, sealed). Times are nanoseconds since 1970-01-01T00:00:00Z.

CREATE TABLE readiness (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    beat INTEGER NOT NULL
) STRICT;
INSERT INTO readiness (only, beat) VALUES (1, 0);

-- The registry holds organisations, no subjects.
CREATE TABLE registry_version (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO registry_version (only, version) VALUES (1, 0);

CREATE TABLE registry_entries (
    section TEXT NOT NULL,
    id      TEXT NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (section, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant_keys (
    tenant  TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE subjects (
    tenant  TEXT    NOT NULL REFERENCES tenant_keys (tenant),
    subject TEXT    NOT NULL,
    wrapped BLOB    NOT NULL,
    version INTEGER NOT NULL,
    -- The records whose newest version says that nothing may be disclosed; encrypted for this version.
    flags   BLOB    NOT NULL,
    PRIMARY KEY (tenant, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE identifiers (
    tenant  TEXT NOT NULL,
    blind   BLOB NOT NULL,
    system  TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (tenant, blind),
    FOREIGN KEY (tenant, subject) REFERENCES subjects (tenant, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifiers_of_subject ON identifiers (tenant, subject, system, blind);

CREATE TABLE records (
    tenant   TEXT    NOT NULL,
    record   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    business BLOB    NOT NULL,
    newest   INTEGER NOT NULL,
    PRIMARY KEY (tenant, record),
    FOREIGN KEY (tenant, subject) REFERENCES subjects (tenant, subject)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX records_of_subject ON records (tenant, subject, kind, business);

CREATE TABLE record_versions (
    tenant      TEXT    NOT NULL,
    record      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    sealed      BLOB    NOT NULL,
    digest      BLOB    NOT NULL,
    deleted     INTEGER NOT NULL,
    exchange    TEXT    NOT NULL,
    sender      TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, record, version),
    FOREIGN KEY (tenant, record) REFERENCES records (tenant, record)
) STRICT;

CREATE TABLE directives (
    tenant    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    directive TEXT    NOT NULL,
    -- When it expires or was withdrawn, whichever is first; the largest number where it does not end.
    ends_at   INTEGER NOT NULL,
    sealed    BLOB    NOT NULL,
    PRIMARY KEY (tenant, subject, directive),
    FOREIGN KEY (tenant, subject) REFERENCES subjects (tenant, subject)
) STRICT;
CREATE INDEX directives_by_end ON directives (tenant, subject, ends_at);

CREATE TABLE links (
    tenant  TEXT NOT NULL,
    sign_in BLOB NOT NULL,
    subject TEXT NOT NULL,
    -- Encrypted: the last day of a proxy's link tells the child's birthday.
    sealed  BLOB NOT NULL,
    PRIMARY KEY (tenant, sign_in, subject),
    FOREIGN KEY (tenant, subject) REFERENCES subjects (tenant, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE exchanges (
    exchange         TEXT PRIMARY KEY,
    sender           TEXT NOT NULL,
    idempotency_hash BLOB,
    digest           BLOB NOT NULL,
    layout           TEXT,
    charset          TEXT,
    received_at      INTEGER NOT NULL,
    complete         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX exchanges_by_key ON exchanges (sender, idempotency_hash) WHERE idempotency_hash IS NOT NULL;
CREATE INDEX exchanges_by_time ON exchanges (received_at, exchange);

CREATE TABLE exchange_rows (
    exchange TEXT    NOT NULL REFERENCES exchanges (exchange),
    tenant   TEXT    NOT NULL,
    row      INTEGER NOT NULL,
    kind     TEXT,
    state    TEXT    NOT NULL,
    record   TEXT,
    version  INTEGER,
    -- Columns, codes and reasons; never a value.
    faults   TEXT    NOT NULL,
    leaf     INTEGER,
    -- The row as it was sent, of refused rows only.
    sealed   BLOB,
    PRIMARY KEY (exchange, row)
) STRICT;

CREATE TABLE waiting_rows (
    ordinal  INTEGER PRIMARY KEY,
    tenant   TEXT    NOT NULL,
    exchange TEXT    NOT NULL,
    row      INTEGER NOT NULL,
    sender   TEXT    NOT NULL,
    sealed   BLOB    NOT NULL,
    UNIQUE (exchange, row)
) STRICT;

CREATE TABLE waiting_identifiers (
    tenant        TEXT    NOT NULL,
    blind         BLOB    NOT NULL,
    system        TEXT    NOT NULL,
    single_valued INTEGER NOT NULL,
    ordinal       INTEGER NOT NULL REFERENCES waiting_rows (ordinal) ON DELETE CASCADE,
    PRIMARY KEY (tenant, blind, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_identifiers_of_row ON waiting_identifiers (ordinal);

CREATE TABLE deliveries (
    -- Grows in commit order: "oldest" and "newest" are told by it.
    ordinal      INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    delivery     TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    -- The place in the subject's line on the channel, dense from 0.
    place        INTEGER NOT NULL,
    record       TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    exchange     TEXT    NOT NULL,
    row          INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,
    last_outcome TEXT,
    batch        TEXT,
    lease_until  INTEGER,
    UNIQUE (tenant, delivery),
    UNIQUE (tenant, subject, channel, place),
    FOREIGN KEY (tenant, record, version) REFERENCES record_versions (tenant, record, version)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (tenant, channel, ordinal, next_at, lease_until) WHERE state = 'pending';
CREATE INDEX deliveries_unsettled ON deliveries (tenant, subject, channel, place)
    WHERE state IN ('dead', 'held', 'pending');
CREATE INDEX deliveries_by_batch ON deliveries (tenant, batch) WHERE batch IS NOT NULL;
CREATE INDEX deliveries_by_exchange ON deliveries (exchange);
CREATE INDEX deliveries_by_state ON deliveries (tenant, state, ordinal);

CREATE TABLE audit_leaves (
    tenant     TEXT    NOT NULL,
    idx        INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    hash       BLOB    NOT NULL,
    mac        BLOB    NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, idx)
) STRICT;

-- How many leaves were written and how many of them lie under the newest checkpoint, sealed like a leaf: without it the
-- newest leaves, or checkpoints, could be cut off unnoticed. Written together with the tenant's key, so that a whole log
-- cannot be cut off either.
CREATE TABLE audit_lengths (
    tenant TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    mac    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    tenant    TEXT    NOT NULL,
    size      INTEGER NOT NULL,
    root      BLOB    NOT NULL,
    frontier  BLOB    NOT NULL,
    note      TEXT    NOT NULL,
    sealed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, size)
) STRICT;
