//! Every table and column there is, once, for a copy between backends. The tests of each backend hold this against the
//! tables that its migrations make: what is added there and not here fails them.

/// A table, with its names in PostgreSQL.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) wall: Wall,
    /// Tells rows apart, and is the order in which they are read. A walled table's begins with its wall's column.
    pub(crate) key: &'static [&'static str],
    /// The same in SQLite, where that is another.
    pub(crate) key_in_sqlite: &'static [&'static str],
}

/// Which rows PostgreSQL shows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wall {
    /// All.
    None,
    /// Those of one sender; whoever writes one says whose tenant's it is.
    Sender,
    /// Those of one tenant.
    Tenant,
}

/// A column, with its name in PostgreSQL.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// It may be empty.
    pub(crate) is_optional: bool,
    pub(crate) in_sqlite: InSqlite,
    pub(crate) role: Role,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Bytes,
    Int,
    Text,
}

/// Where SQLite has a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InSqlite {
    Named(&'static str),
    /// Nowhere: it follows from other rows.
    WorkedOut(&'static str),
}

/// What a copy does with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The next ordinal of the tenant. It only has to be higher than all that are used.
    NextOrdinal,
    /// A place in the order of a tenant's rows. SQLite counts all tenants in one line, PostgreSQL each by itself.
    Ordinal,
    /// It comes over as it is.
    Plain,
}

impl Table {
    /// The column of this name.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The columns of a key, where they stand in a row.
    pub(crate) fn places(&self, key: &[&str]) -> Vec<usize> {
        key.iter().filter_map(|name| self.place(name)).collect()
    }

    /// The columns whose values are what they were after a copy.
    pub(crate) fn compared(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(|(_, column)| column.role != Role::NextOrdinal).map(|(place, _)| place)
    }
}

impl Column {
    const fn of(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_optional: false, in_sqlite: InSqlite::Named(name), role: Role::Plain }
    }

    const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    const fn named(self, in_sqlite: &'static str) -> Self {
        Self { in_sqlite: InSqlite::Named(in_sqlite), ..self }
    }

    const fn worked_out(self, in_sqlite: &'static str) -> Self {
        Self { in_sqlite: InSqlite::WorkedOut(in_sqlite), ..self }
    }

    const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }
}

const fn boolean(name: &'static str) -> Column {
    Column::of(name, Kind::Bool)
}

const fn bytes(name: &'static str) -> Column {
    Column::of(name, Kind::Bytes)
}

const fn int(name: &'static str) -> Column {
    Column::of(name, Kind::Int)
}

const fn text(name: &'static str) -> Column {
    Column::of(name, Kind::Text)
}

const fn table(name: &'static str, key: &'static [&'static str], columns: &'static [Column], wall: Wall) -> Table {
    Table { name, columns, wall, key, key_in_sqlite: key }
}

/// Tables that are no data: the version of the others, and where readiness is tried.
#[cfg(test)]
pub(crate) const NOT_COPIED: [&str; 2] = ["readiness", "schema_version"];

/// Whatever a row refers to is in an earlier table.
pub(crate) const TABLES: &[Table] = &[
    table("registry_version", &["sole"], &[int("sole").named("only"), int("version")], Wall::None),
    table("registry_entries", &["section", "id"], &[text("section"), text("id"), text("entry")], Wall::None),
    table(
        "coverage",
        &["channel", "day", "kind", "place", "what"],
        &[text("day"), text("channel"), text("kind"), text("place"), text("what"), int("rows")],
        Wall::None,
    ),
    table("witnessed", &["log"], &[text("log"), int("size"), bytes("root")], Wall::None),
    table("tenant_keys", &["tenant"], &[text("tenant"), bytes("wrapped")], Wall::Tenant),
    table(
        "audit_lengths",
        &["tenant"],
        &[
            text("tenant"),
            int("size"),
            int("sealed"),
            bytes("mac"),
            int("ordinal").role(Role::NextOrdinal).worked_out(
                "(SELECT 1 + max(coalesce((SELECT max(ordinal) FROM deliveries d WHERE d.tenant = audit_lengths.tenant), -1),
                                 coalesce((SELECT max(ordinal) FROM waiting_rows w WHERE w.tenant = audit_lengths.tenant), -1)))",
            ),
        ],
        Wall::Tenant,
    ),
    table(
        "subjects",
        &["tenant", "subject"],
        &[text("tenant"), text("subject"), bytes("wrapped"), int("version"), bytes("flags")],
        Wall::Tenant,
    ),
    table(
        "identifiers",
        &["tenant", "blind"],
        &[text("tenant"), bytes("blind"), text("system"), text("subject")],
        Wall::Tenant,
    ),
    table(
        "records",
        &["tenant", "record"],
        &[text("tenant"), text("record"), text("subject"), text("kind"), bytes("business"), int("newest")],
        Wall::Tenant,
    ),
    table(
        "record_versions",
        &["tenant", "record", "version"],
        &[
            text("tenant"),
            text("record"),
            int("version"),
            bytes("sealed"),
            bytes("digest"),
            boolean("deleted"),
            text("exchange"),
            text("sender"),
            int("recorded_at"),
        ],
        Wall::Tenant,
    ),
    table(
        "directives",
        &["tenant", "subject", "directive"],
        &[text("tenant"), text("subject"), text("directive"), int("ends_at"), bytes("sealed")],
        Wall::Tenant,
    ),
    table(
        "links",
        &["tenant", "sign_in", "subject"],
        &[text("tenant"), bytes("sign_in"), text("subject"), bytes("sealed")],
        Wall::Tenant,
    ),
    Table {
        key_in_sqlite: &["exchange"],
        ..table(
            "exchanges",
            &["sender", "exchange"],
            &[
                text("sender"),
                text("exchange"),
                bytes("idempotency_hash").optional(),
                bytes("digest"),
                text("layout").optional(),
                text("charset").optional(),
                int("received_at"),
                boolean("complete"),
            ],
            Wall::None,
        )
    },
    Table {
        key_in_sqlite: &["exchange", "number"],
        ..table(
            "exchange_rows",
            &["sender", "exchange", "number"],
            &[
                text("sender").worked_out("(SELECT sender FROM exchanges e WHERE e.exchange = exchange_rows.exchange)"),
                text("exchange"),
                int("number").named("row"),
                text("tenant"),
                text("kind").optional(),
                text("state"),
                text("record").optional(),
                int("version").optional(),
                text("faults"),
                int("leaf").optional(),
                bytes("sealed").optional(),
            ],
            Wall::Sender,
        )
    },
    Table {
        key_in_sqlite: &["ordinal"],
        ..table(
            "waiting_rows",
            &["tenant", "ordinal"],
            &[
                text("tenant"),
                int("ordinal").role(Role::Ordinal),
                text("exchange"),
                int("number").named("row"),
                text("sender"),
                bytes("sealed"),
            ],
            Wall::Tenant,
        )
    },
    table(
        "waiting_identifiers",
        &["tenant", "blind", "ordinal"],
        &[
            text("tenant"),
            bytes("blind"),
            text("system"),
            boolean("single_valued"),
            int("ordinal").role(Role::Ordinal),
        ],
        Wall::Tenant,
    ),
    table(
        "deliveries",
        &["tenant", "delivery"],
        &[
            text("tenant"),
            text("delivery"),
            int("ordinal").role(Role::Ordinal),
            text("subject"),
            text("channel"),
            int("place"),
            text("record"),
            int("version"),
            text("exchange"),
            int("number").named("row"),
            text("state"),
            int("attempts"),
            int("next_at"),
            text("last_outcome").optional(),
            text("batch").optional(),
            int("lease_until").optional(),
            int("leaf").optional(),
        ],
        Wall::Tenant,
    ),
    table(
        "audit_leaves",
        &["tenant", "idx"],
        &[text("tenant"), int("idx"), bytes("bytes"), bytes("hash"), bytes("mac"), int("written_at")],
        Wall::Tenant,
    ),
    table(
        "checkpoints",
        &["tenant", "size"],
        &[text("tenant"), int("size"), bytes("root"), bytes("frontier"), text("note"), int("sealed_at")],
        Wall::Tenant,
    ),
    table(
        "audit_subtrees",
        &["tenant", "level", "idx"],
        &[text("tenant"), int("level"), int("idx"), bytes("root")],
        Wall::Tenant,
    ),
    table(
        "audit_trails",
        &["tenant", "bucket", "segment"],
        &[text("tenant"), int("bucket"), int("segment"), bytes("entries")],
        Wall::Tenant,
    ),
];
