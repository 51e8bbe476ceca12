"""The tables of the database, and their format; ``docs/reference/store.md`` explains them."""

from __future__ import annotations

#: In ``PRAGMA user_version``; a database of another format is made anew.
SCHEMA_FORMAT = 3

SCHEMA = """
CREATE TABLE folder (uuid TEXT NOT NULL);
CREATE TABLE sentinels (
    sentinel_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    group_name TEXT NOT NULL,
    software TEXT NOT NULL,
    started_time_us INTEGER NOT NULL,
    end_time_us INTEGER
) WITHOUT ROWID;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    sentinel_id TEXT NOT NULL,
    name TEXT NOT NULL,
    group_name TEXT NOT NULL,
    software TEXT NOT NULL,
    started_time_us INTEGER NOT NULL,
    init_size_bytes INTEGER NOT NULL,
    init_crc32 INTEGER NOT NULL,
    mime TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    timescale INTEGER NOT NULL,
    track_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended_time_us INTEGER,
    end_reason TEXT NOT NULL,
    segment_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    first_sequence INTEGER,
    last_sequence INTEGER,
    start_time_us INTEGER,
    end_time_us INTEGER,
    begins_us INTEGER NOT NULL,
    reaches_us INTEGER NOT NULL,
    shown_us INTEGER NOT NULL,
    age_from_us INTEGER,
    held_time_us INTEGER,
    hold_reason TEXT
);
CREATE INDEX sessions_by_start ON sessions (shown_us, session_id);
CREATE INDEX sessions_by_sentinel ON sessions (sentinel_id, shown_us, session_id);
CREATE INDEX sessions_by_group ON sessions (group_name, shown_us, session_id);
CREATE INDEX sessions_by_both ON sessions (sentinel_id, group_name, shown_us, session_id);
CREATE INDEX sessions_by_lead ON sessions (shown_us - begins_us);
CREATE INDEX sessions_by_length ON sessions (reaches_us - shown_us);
CREATE INDEX sessions_by_newest ON sessions (sentinel_id, started_time_us, session_id);
CREATE INDEX sessions_by_state ON sessions (
    state, age_from_us, session_id, sentinel_id, held_time_us, size_bytes, segment_count,
    ended_time_us
);
CREATE TABLE spans (
    session INTEGER NOT NULL,
    part INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    start_time_us INTEGER NOT NULL,
    end_time_us INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (session, first, part)
) WITHOUT ROWID;
CREATE TABLE gaps (
    session INTEGER NOT NULL,
    number INTEGER NOT NULL,
    first INTEGER,
    last INTEGER,
    cause TEXT NOT NULL,
    start_time_us INTEGER,
    end_time_us INTEGER,
    detail TEXT NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;
CREATE TABLE receipts (
    number INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    place INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL
);
"""

#: All that a session has, when it goes: row, spans, gaps; and the place of its receipt comes.
FORGET = (
    "DELETE FROM spans WHERE session IN (SELECT id FROM sessions WHERE session_id = :session_id)",
    "DELETE FROM gaps WHERE session IN (SELECT id FROM sessions WHERE session_id = :session_id)",
    "DELETE FROM sessions WHERE session_id = :session_id",
    "INSERT OR REPLACE INTO receipts VALUES (:number, :session_id, :place, :size_bytes)",
    # The Sentinel is what its newest session says; without any it is nobody.
    "DELETE FROM sentinels WHERE sentinel_id = :sentinel_id AND NOT EXISTS "
    "(SELECT 1 FROM sessions WHERE sentinel_id = :sentinel_id)",
    "UPDATE sentinels SET (name, group_name, software, started_time_us) = "
    "(SELECT name, group_name, software, started_time_us FROM sessions "
    "WHERE sentinel_id = :sentinel_id ORDER BY started_time_us DESC, session_id DESC LIMIT 1), "
    "end_time_us = (SELECT max(end_time_us) FROM sessions WHERE sentinel_id = :sentinel_id) "
    "WHERE sentinel_id = :sentinel_id AND started_time_us IS NOT "
    "(SELECT max(started_time_us) FROM sessions WHERE sentinel_id = :sentinel_id)",
)
SET_HOLD = "UPDATE sessions SET held_time_us = ?, hold_reason = ? WHERE session_id = ?"
