CREATE TABLE IF NOT EXISTS monitors (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- The key is the identity of a check, and the order on disk: 20 bytes a row, and one monitor's history is read without looking elsewhere.
-- Times are milliseconds. error is null where the check succeeded.
CREATE TABLE IF NOT EXISTS reports (
	monitor INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	took    INTEGER NOT NULL,
	late    INTEGER NOT NULL,
	error   TEXT,
	PRIMARY KEY (monitor, at)
) WITHOUT ROWID;

-- How punctual checks were, by the minute that they were due in: seconds, and latest in milliseconds.
CREATE TABLE IF NOT EXISTS minutes (
	at     INTEGER PRIMARY KEY,
	checks INTEGER NOT NULL,
	late   INTEGER NOT NULL,
	latest INTEGER NOT NULL,
	missed INTEGER NOT NULL
);

-- Up to where the stream of reports was written.
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL);
