-- What live traffic could not map, by day in Japan. Names of columns, codes and characters; nothing of any person.
-- `what` is empty for columns, and where a code is not told.
CREATE TABLE coverage (
    day     TEXT    NOT NULL,
    channel TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    place   TEXT    NOT NULL,
    what    TEXT    NOT NULL,
    rows    INTEGER NOT NULL,
    PRIMARY KEY (channel, day, kind, place, what)
) STRICT, WITHOUT ROWID;
