"""The tables of ``hot.sqlite`` as SQL, a text for each step of the migrations; a text that has landed is never changed."""

from __future__ import annotations

SPINE = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE stream (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, fold TEXT NOT NULL UNIQUE, folder TEXT NOT NULL UNIQUE,
    identity TEXT, mark INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL, last_commit_us INTEGER, future_min INTEGER, future_max INTEGER);
CREATE TABLE schema (
    stream_id INTEGER NOT NULL REFERENCES stream(id), version INTEGER NOT NULL, columns TEXT NOT NULL, PRIMARY KEY (stream_id, version));
CREATE TABLE batch (
    id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL REFERENCES stream(id), first INTEGER NOT NULL, last INTEGER NOT NULL,
    ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL, schema_version INTEGER NOT NULL, encoding INTEGER NOT NULL,
    boot INTEGER NOT NULL, uptime_us INTEGER NOT NULL, committed_us INTEGER NOT NULL, crc32 INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE segment (
    id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL REFERENCES stream(id), day INTEGER NOT NULL, path TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL, last INTEGER NOT NULL, rows INTEGER NOT NULL, ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL,
    bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, schema_version INTEGER NOT NULL, level INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'live', reason TEXT, created_us INTEGER NOT NULL, ended_us INTEGER);
CREATE TABLE dirty (
    stream_id INTEGER NOT NULL REFERENCES stream(id), day INTEGER NOT NULL, ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (stream_id, day));
CREATE TABLE file (
    digest TEXT NOT NULL, stream TEXT NOT NULL, name TEXT NOT NULL, bytes_total INTEGER NOT NULL, position_next INTEGER NOT NULL,
    done INTEGER NOT NULL, records INTEGER NOT NULL, rejected INTEGER NOT NULL, changed_us INTEGER NOT NULL, PRIMARY KEY (digest, stream));
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, source TEXT NOT NULL, stream TEXT, format TEXT NOT NULL,
    reason TEXT NOT NULL, line INTEGER NOT NULL, raw BLOB NOT NULL, replayed_us INTEGER);
CREATE VIEW streams_readable AS
    SELECT name, last_seq AS records, last_seq - mark AS hot, mark, identity,
           strftime('%Y-%m-%dT%H:%M:%SZ', last_commit_us / 1000000, 'unixepoch') AS last_commit FROM stream;
CREATE VIEW segments_readable AS
    SELECT s.name AS stream, date(g.day * 86400, 'unixepoch') AS day, g.state, g.rows, g.bytes, g.first, g.last, g.path, g.reason
    FROM segment g JOIN stream s ON s.id = g.stream_id;
CREATE VIEW dead_letters_readable AS
    SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at, source, stream, reason, line,
           CAST(raw AS TEXT) AS raw, replayed_us IS NOT NULL AS replayed FROM dead_letter;
"""

ALERTS = """
CREATE TABLE alert_rule (name TEXT PRIMARY KEY, condition TEXT NOT NULL, columns TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE alert (
    rule TEXT NOT NULL, key TEXT NOT NULL, columns TEXT NOT NULL, phase TEXT NOT NULL, was TEXT NOT NULL, since_us INTEGER NOT NULL,
    level INTEGER NOT NULL, level_us INTEGER NOT NULL, ending_us INTEGER, fired_us INTEGER, resolved_us INTEGER, fire INTEGER NOT NULL,
    seq INTEGER, term_values TEXT NOT NULL, reason TEXT NOT NULL, acked_by TEXT, acked_until_us INTEGER, ack_comment TEXT NOT NULL,
    flapping INTEGER NOT NULL, flap_fires INTEGER NOT NULL, fires_us TEXT NOT NULL, told INTEGER NOT NULL, told_fire INTEGER NOT NULL,
    told_to TEXT NOT NULL, told_us INTEGER, told_since_us INTEGER, escalated INTEGER NOT NULL, labels TEXT NOT NULL,
    learned_us INTEGER NOT NULL, PRIMARY KEY (rule, key)) WITHOUT ROWID;
CREATE TABLE alert_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL, key TEXT NOT NULL, columns TEXT NOT NULL, kind TEXT NOT NULL,
    old TEXT NOT NULL, new TEXT NOT NULL, at_us INTEGER NOT NULL, learned_us INTEGER NOT NULL, seq INTEGER, term_values TEXT NOT NULL,
    reason TEXT NOT NULL, fire INTEGER NOT NULL);
CREATE TABLE silence (
    id INTEGER PRIMARY KEY AUTOINCREMENT, matchers TEXT NOT NULL, since_us INTEGER NOT NULL, until_us INTEGER NOT NULL,
    author TEXT NOT NULL, comment TEXT NOT NULL, ended_us INTEGER);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, group_name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', title TEXT NOT NULL, created_us INTEGER NOT NULL, due_us INTEGER NOT NULL,
    sent_us INTEGER, attempts INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');
CREATE INDEX outbox_waiting ON outbox (channel, group_name, id) WHERE state = 'waiting';
CREATE INDEX outbox_by_state ON outbox (state, id);
CREATE TABLE outbox_item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id INTEGER NOT NULL REFERENCES outbox(id), rule TEXT NOT NULL, key TEXT NOT NULL,
    fire INTEGER NOT NULL, tells TEXT NOT NULL, at_us INTEGER NOT NULL, added_us INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX outbox_item_by_message ON outbox_item (message_id, id);
CREATE INDEX outbox_item_by_fire ON outbox_item (rule, key, fire);
CREATE TABLE evaluated (
    stream_id INTEGER PRIMARY KEY REFERENCES stream(id), seq INTEGER NOT NULL, event_us INTEGER NOT NULL,
    watermark_us INTEGER NOT NULL, wall_us INTEGER NOT NULL);
CREATE TABLE session_open (workload TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (workload, key)) WITHOUT ROWID;
CREATE TABLE baseline (
    term TEXT NOT NULL, key TEXT NOT NULL, hour INTEGER NOT NULL, value REAL, made_us INTEGER NOT NULL,
    PRIMARY KEY (term, key, hour)) WITHOUT ROWID;
CREATE VIEW alerts_readable AS
    SELECT rule, key, phase, was, strftime('%Y-%m-%dT%H:%M:%SZ', since_us / 1000000, 'unixepoch') AS since,
           strftime('%Y-%m-%dT%H:%M:%SZ', fired_us / 1000000, 'unixepoch') AS fired, fire, seq, term_values, reason, acked_by,
           strftime('%Y-%m-%dT%H:%M:%SZ', acked_until_us / 1000000, 'unixepoch') AS acked_until, ack_comment, flapping, told FROM alert;
CREATE VIEW alert_events_readable AS
    SELECT id, rule, key, kind, old, new, strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at,
           strftime('%Y-%m-%dT%H:%M:%SZ', learned_us / 1000000, 'unixepoch') AS learned, seq, term_values, reason FROM alert_event;
CREATE VIEW silences_readable AS
    SELECT id, matchers, strftime('%Y-%m-%dT%H:%M:%SZ', since_us / 1000000, 'unixepoch') AS since,
           strftime('%Y-%m-%dT%H:%M:%SZ', until_us / 1000000, 'unixepoch') AS until, author, comment,
           strftime('%Y-%m-%dT%H:%M:%SZ', ended_us / 1000000, 'unixepoch') AS ended FROM silence;
CREATE VIEW outbox_readable AS
    SELECT m.id, m.channel, m.state, m.title, (SELECT count(*) FROM outbox_item i WHERE i.message_id = m.id) AS items,
           strftime('%Y-%m-%dT%H:%M:%SZ', m.created_us / 1000000, 'unixepoch') AS created,
           strftime('%Y-%m-%dT%H:%M:%SZ', m.due_us / 1000000, 'unixepoch') AS due,
           strftime('%Y-%m-%dT%H:%M:%SZ', m.sent_us / 1000000, 'unixepoch') AS sent, m.attempts, m.error FROM outbox m;
CREATE VIEW evaluated_readable AS
    SELECT s.name AS stream, e.seq, s.last_seq - e.seq AS behind,
           strftime('%Y-%m-%dT%H:%M:%SZ', e.event_us / 1000000, 'unixepoch') AS event,
           strftime('%Y-%m-%dT%H:%M:%SZ', e.wall_us / 1000000, 'unixepoch') AS evaluated
    FROM evaluated e JOIN stream s ON s.id = e.stream_id;
"""

JOBS = """
CREATE TABLE job (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, whence TEXT NOT NULL, priority TEXT NOT NULL, since_us INTEGER NOT NULL,
    due_us INTEGER, day INTEGER, next_us INTEGER, failures INTEGER NOT NULL, failed_us INTEGER, last_state TEXT NOT NULL,
    last_us INTEGER, last_words TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL,
    due_us INTEGER NOT NULL, queued_us INTEGER NOT NULL, not_before_us INTEGER NOT NULL, started_us INTEGER, ended_us INTEGER,
    attempt INTEGER NOT NULL, interrupted INTEGER NOT NULL, priority TEXT NOT NULL, day INTEGER, parameters TEXT NOT NULL,
    words TEXT NOT NULL, error TEXT NOT NULL, rows INTEGER NOT NULL, cpu_s REAL NOT NULL, read_bytes INTEGER NOT NULL,
    written_bytes INTEGER NOT NULL);
CREATE INDEX job_run_open ON job_run (id) WHERE state IN ('waiting', 'running');
CREATE TABLE job_table (
    fold TEXT PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, columns TEXT NOT NULL, made_us INTEGER NOT NULL, run_id INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIEW jobs_readable AS
    SELECT name, kind, whence, strftime('%Y-%m-%dT%H:%M:%SZ', next_us / 1000000, 'unixepoch') AS next, last_state,
           strftime('%Y-%m-%dT%H:%M:%SZ', last_us / 1000000, 'unixepoch') AS last, last_words, failures FROM job;
CREATE VIEW job_runs_readable AS
    SELECT id, name, kind, reason, state, attempt, strftime('%Y-%m-%dT%H:%M:%SZ', due_us / 1000000, 'unixepoch') AS due,
           strftime('%Y-%m-%dT%H:%M:%SZ', started_us / 1000000, 'unixepoch') AS started,
           strftime('%Y-%m-%dT%H:%M:%SZ', ended_us / 1000000, 'unixepoch') AS ended, words, error, rows, cpu_s, read_bytes,
           written_bytes, parameters FROM job_run;
"""

VIEWS = """
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, stream TEXT NOT NULL, bucket_us INTEGER NOT NULL,
    closed_us INTEGER NOT NULL, sealed_us INTEGER NOT NULL, late INTEGER NOT NULL DEFAULT 0, UNIQUE (kind, name, stream));
CREATE TABLE ledger_dirty (
    ledger_id INTEGER NOT NULL REFERENCES ledger(id), low INTEGER NOT NULL, high INTEGER NOT NULL,
    PRIMARY KEY (ledger_id, low)) WITHOUT ROWID;
CREATE TABLE view (fold TEXT PRIMARY KEY, name TEXT NOT NULL, reason TEXT) WITHOUT ROWID;
CREATE TABLE view_version (
    id INTEGER PRIMARY KEY, fold TEXT NOT NULL REFERENCES view(fold), number INTEGER NOT NULL, state TEXT NOT NULL,
    body TEXT NOT NULL, folder TEXT NOT NULL, ledger_id INTEGER NOT NULL REFERENCES ledger(id), begin_us INTEGER NOT NULL,
    refreshed_us INTEGER, cost_s REAL NOT NULL DEFAULT 0, UNIQUE (fold, number));
CREATE TABLE view_file (
    id INTEGER PRIMARY KEY, version_id INTEGER NOT NULL REFERENCES view_version(id), path TEXT NOT NULL, low INTEGER NOT NULL,
    high INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, whole INTEGER NOT NULL);
CREATE VIEW views_readable AS
    SELECT w.name, v.number AS version, v.state, l.stream, l.bucket_us / 1000000 AS bucket_s,
           strftime('%Y-%m-%dT%H:%M:%SZ', l.closed_us / 1000000, 'unixepoch') AS fresh_until,
           (SELECT count(*) FROM ledger_dirty d WHERE d.ledger_id = l.id) AS dirty_spans,
           (SELECT count(*) FROM view_file f WHERE f.version_id = v.id) AS files, l.late, w.reason, v.body
    FROM view w LEFT JOIN view_version v ON v.fold = w.fold LEFT JOIN ledger l ON l.id = v.ledger_id;
"""

REPORTS = """
CREATE TABLE report_issue (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, title TEXT NOT NULL, day TEXT NOT NULL, since_us INTEGER NOT NULL,
    until_us INTEGER NOT NULL, parameters TEXT NOT NULL, revision INTEGER NOT NULL, reason TEXT NOT NULL, issued_us INTEGER NOT NULL,
    is_over INTEGER NOT NULL, failed INTEGER NOT NULL, blocks INTEGER NOT NULL, files TEXT NOT NULL, used TEXT NOT NULL,
    notes TEXT NOT NULL, difference TEXT NOT NULL, told TEXT NOT NULL, checked TEXT NOT NULL, deletion INTEGER NOT NULL, removed_us INTEGER,
    UNIQUE (name, day, parameters, revision));
CREATE VIEW reports_readable AS
    SELECT name, day, parameters, revision, strftime('%Y-%m-%dT%H:%M:%SZ', issued_us / 1000000, 'unixepoch') AS issued, reason, failed,
           blocks, difference, files, used, removed_us IS NOT NULL AS removed FROM report_issue;
"""


RETENTION = """
ALTER TABLE segment ADD COLUMN days INTEGER NOT NULL DEFAULT 1;
ALTER TABLE segment ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;
CREATE TABLE deletion (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream_id INTEGER NOT NULL REFERENCES stream(id), since_us INTEGER, until_us INTEGER,
    matching TEXT NOT NULL, up_to_seq INTEGER NOT NULL, at_us INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL,
    records INTEGER, latest_us INTEGER, ended_us INTEGER);
CREATE TABLE removal (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, stream_id INTEGER NOT NULL REFERENCES stream(id), kind TEXT NOT NULL,
    why TEXT NOT NULL, author TEXT NOT NULL, segment_id INTEGER NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    day INTEGER NOT NULL, days INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, rows INTEGER NOT NULL,
    ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE VIEW deletions_readable AS
    SELECT d.id, s.name AS stream, strftime('%Y-%m-%dT%H:%M:%SZ', d.since_us / 1000000, 'unixepoch') AS since,
           strftime('%Y-%m-%dT%H:%M:%SZ', d.until_us / 1000000, 'unixepoch') AS until, d.matching, d.up_to_seq,
           strftime('%Y-%m-%dT%H:%M:%SZ', d.at_us / 1000000, 'unixepoch') AS at, d.author, d.reason, d.records,
           d.ended_us IS NOT NULL AS gone FROM deletion d JOIN stream s ON s.id = d.stream_id;
CREATE VIEW removals_readable AS
    SELECT r.id, strftime('%Y-%m-%dT%H:%M:%SZ', r.at_us / 1000000, 'unixepoch') AS at, s.name AS stream, r.kind, r.why, r.author,
           date(r.day * 86400, 'unixepoch') AS day, r.days, r.rows, r.bytes, r.path, r.sha256
    FROM removal r JOIN stream s ON s.id = r.stream_id;
"""

AUDIT = """
CREATE TABLE chain (id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, entry TEXT NOT NULL);
CREATE TABLE model (
    name TEXT NOT NULL, version INTEGER NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, method TEXT NOT NULL, stream TEXT NOT NULL,
    key_columns TEXT NOT NULL, field TEXT NOT NULL, made_us INTEGER NOT NULL, error REAL, naive_error REAL, coverage REAL,
    state TEXT NOT NULL, reason TEXT NOT NULL, active INTEGER NOT NULL DEFAULT 0, changed_us INTEGER NOT NULL,
    PRIMARY KEY (name, version)) WITHOUT ROWID;
CREATE UNIQUE INDEX model_active ON model (name) WHERE active;
DROP TABLE baseline;
CREATE VIEW chain_readable AS
    SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at, json_extract(entry, '$.kind') AS kind,
           json_extract(entry, '$.stream') AS stream, entry FROM chain;
CREATE VIEW models_readable AS
    SELECT name, version, active, state, reason, method, stream, field, error, naive_error, coverage,
           strftime('%Y-%m-%dT%H:%M:%SZ', made_us / 1000000, 'unixepoch') AS made, path FROM model;
"""

PLACEMENTS = """
CREATE TABLE placement (
    name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, path TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL, declared TEXT NOT NULL,
    wanted TEXT, wanted_rule TEXT, wanted_reason TEXT, wanted_us INTEGER, runs_on TEXT NOT NULL, budget_ms REAL NOT NULL,
    since_us INTEGER NOT NULL, moved_from TEXT NOT NULL, needs TEXT NOT NULL);
CREATE TABLE placement_move (
    id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, from_path TEXT NOT NULL,
    to_path TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL, cause TEXT NOT NULL);
"""

RECONCILE = """
CREATE TABLE divergence (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, place TEXT NOT NULL, key TEXT NOT NULL, stream TEXT, first INTEGER,
    last INTEGER, since_us INTEGER, until_us INTEGER, what TEXT NOT NULL, repair TEXT, facts TEXT NOT NULL, state TEXT NOT NULL,
    found_us INTEGER NOT NULL, changed_us INTEGER NOT NULL, did TEXT NOT NULL);
CREATE UNIQUE INDEX divergence_wrong ON divergence (kind, place, key) WHERE state IN ('open', 'unmendable');
CREATE INDEX divergence_by_time ON divergence (found_us);
CREATE TABLE segment_look (segment_id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, at_us INTEGER NOT NULL);
CREATE TABLE look_pass (kind TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batch_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream_id INTEGER NOT NULL REFERENCES stream(id), first INTEGER NOT NULL, last INTEGER NOT NULL,
    ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL, schema_version INTEGER NOT NULL, encoding INTEGER NOT NULL, crc32 INTEGER NOT NULL,
    body BLOB NOT NULL, aside_us INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE VIEW divergence_readable AS
    SELECT id, state, kind, stream, place, key, what, repair, strftime('%Y-%m-%dT%H:%M:%SZ', found_us / 1000000, 'unixepoch') AS found,
           strftime('%Y-%m-%dT%H:%M:%SZ', changed_us / 1000000, 'unixepoch') AS changed, did FROM divergence;
"""


TALLY = """
CREATE TABLE batch_with_tally (
    id INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL REFERENCES stream(id), first INTEGER NOT NULL, last INTEGER NOT NULL,
    ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL, schema_version INTEGER NOT NULL, encoding INTEGER NOT NULL,
    boot INTEGER NOT NULL, uptime_us INTEGER NOT NULL, committed_us INTEGER NOT NULL, crc32 INTEGER NOT NULL, tally, body BLOB NOT NULL);
INSERT INTO batch_with_tally
    SELECT id, stream_id, first, last, ts_min, ts_max, schema_version, encoding, boot, uptime_us, committed_us, crc32, NULL, body
    FROM batch;
DROP TABLE batch;
ALTER TABLE batch_with_tally RENAME TO batch;
ALTER TABLE segment ADD COLUMN tallies TEXT;
CREATE TABLE tally (
    stream_id INTEGER NOT NULL REFERENCES stream(id), day INTEGER NOT NULL, rows INTEGER, sum INTEGER,
    PRIMARY KEY (stream_id, day)) WITHOUT ROWID;
WITH RECURSIVE covered(stream_id, day, last) AS (
    SELECT stream_id, day, day + days - 1 FROM segment WHERE state IN ('live', 'damaged', 'missing')
    UNION SELECT stream_id, day + 1, last FROM covered WHERE day < last)
    INSERT INTO tally (stream_id, day) SELECT DISTINCT stream_id, day FROM covered;
CREATE VIEW tally_readable AS
    SELECT s.name AS stream, date(t.day * 86400, 'unixepoch') AS day, t.rows, t.sum, t.sum IS NOT NULL AS known
    FROM tally t JOIN stream s ON s.id = t.stream_id;
"""

METERS = """
CREATE TABLE latency (
    id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, span_s INTEGER NOT NULL, workload TEXT NOT NULL, stage TEXT NOT NULL,
    count INTEGER NOT NULL, max_ms REAL NOT NULL, budget_ms REAL, buckets BLOB NOT NULL);
CREATE TABLE cost (
    id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, span_s INTEGER NOT NULL, workload TEXT NOT NULL, path TEXT NOT NULL,
    cpu_s REAL NOT NULL, read INTEGER NOT NULL, written INTEGER NOT NULL, rows INTEGER NOT NULL, memory INTEGER NOT NULL,
    notifications INTEGER NOT NULL, runs INTEGER NOT NULL, watched_s REAL NOT NULL);
CREATE VIEW latency_readable AS
    SELECT strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at, span_s, workload, stage, count, max_ms, budget_ms
    FROM latency;
CREATE VIEW cost_readable AS
    SELECT strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at, span_s, workload, path, round(cpu_s, 3) AS cpu_s, read,
           written, rows, memory, notifications, runs FROM cost;
"""

PANELS = """
CREATE TABLE panel (
    fold TEXT PRIMARY KEY, name TEXT NOT NULL, sql TEXT NOT NULL, path TEXT NOT NULL, number INTEGER NOT NULL, as_of_us INTEGER NOT NULL,
    seen TEXT NOT NULL, rows INTEGER NOT NULL, columns TEXT NOT NULL, body BLOB, parts TEXT) WITHOUT ROWID;
CREATE VIEW panels_readable AS
    SELECT name, path, number, strftime('%Y-%m-%dT%H:%M:%SZ', as_of_us / 1000000, 'unixepoch') AS as_of, rows, seen, length(body) AS bytes,
           parts, sql FROM panel;
"""


LADDER = """
CREATE TABLE ladder (
    id INTEGER PRIMARY KEY AUTOINCREMENT, since_us INTEGER NOT NULL, until_us INTEGER, step INTEGER NOT NULL, kind TEXT NOT NULL,
    why TEXT NOT NULL);
CREATE VIEW ladder_readable AS
    SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', since_us / 1000000, 'unixepoch') AS since,
           strftime('%Y-%m-%dT%H:%M:%SZ', until_us / 1000000, 'unixepoch') AS until, step, kind, why FROM ladder;
"""

INCIDENTS = """
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT, workload TEXT NOT NULL, state TEXT NOT NULL, opened_us INTEGER NOT NULL,
    since_us INTEGER NOT NULL, until_us INTEGER NOT NULL, closed_us INTEGER, streams TEXT NOT NULL, members INTEGER NOT NULL,
    severity REAL NOT NULL, verdict TEXT NOT NULL, confidence REAL NOT NULL, summary TEXT NOT NULL, answers INTEGER NOT NULL,
    deep TEXT NOT NULL, feedback TEXT);
CREATE INDEX incident_closed ON incident (state, id);
CREATE TABLE incident_member (
    incident_id INTEGER NOT NULL REFERENCES incident(id), place INTEGER NOT NULL, stream TEXT NOT NULL, column_name TEXT NOT NULL,
    key TEXT NOT NULL, template TEXT, kind TEXT NOT NULL, since_us INTEGER NOT NULL, until_us INTEGER NOT NULL, peak_us INTEGER NOT NULL,
    score REAL NOT NULL, value REAL, expected REAL, records INTEGER NOT NULL, reason TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (incident_id, place)) WITHOUT ROWID;
CREATE TABLE incident_answer (
    incident_id INTEGER NOT NULL REFERENCES incident(id), number INTEGER NOT NULL, by TEXT NOT NULL, verdict TEXT NOT NULL,
    confidence REAL NOT NULL, severity REAL NOT NULL, summary TEXT NOT NULL, basis TEXT NOT NULL, difference TEXT NOT NULL,
    models TEXT NOT NULL, written_by TEXT NOT NULL, at_us INTEGER NOT NULL, superseded_us INTEGER,
    PRIMARY KEY (incident_id, number)) WITHOUT ROWID;
CREATE TABLE incident_evidence (
    incident_id INTEGER NOT NULL REFERENCES incident(id), number INTEGER NOT NULL, place INTEGER NOT NULL, kind TEXT NOT NULL,
    stream TEXT NOT NULL, column_name TEXT NOT NULL, key TEXT NOT NULL, at_us INTEGER, value REAL, what TEXT NOT NULL,
    PRIMARY KEY (incident_id, number, place)) WITHOUT ROWID;
CREATE TABLE incident_line (
    incident_id INTEGER NOT NULL REFERENCES incident(id), place INTEGER NOT NULL, ts TEXT NOT NULL, stream TEXT NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (incident_id, place)) WITHOUT ROWID;
CREATE TABLE incident_feedback (
    id INTEGER PRIMARY KEY AUTOINCREMENT, incident_id INTEGER NOT NULL REFERENCES incident(id), verdict TEXT NOT NULL, author TEXT NOT NULL,
    comment TEXT NOT NULL, at_us INTEGER NOT NULL);
CREATE INDEX incident_feedback_of ON incident_feedback (incident_id);
CREATE TABLE incident_group (workload TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE VIEW incidents_readable AS
    SELECT id, workload, state, strftime('%Y-%m-%dT%H:%M:%SZ', since_us / 1000000, 'unixepoch') AS since,
           strftime('%Y-%m-%dT%H:%M:%SZ', until_us / 1000000, 'unixepoch') AS until, verdict, confidence, severity, feedback, summary
    FROM incident;
CREATE VIEW incident_answers_readable AS
    SELECT incident_id, number, by, verdict, confidence, strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at,
           strftime('%Y-%m-%dT%H:%M:%SZ', superseded_us / 1000000, 'unixepoch') AS superseded, summary, difference, basis
    FROM incident_answer;
"""

ANALYSIS = """
CREATE TABLE analysis_state (
    workload TEXT PRIMARY KEY, generation INTEGER NOT NULL, at_us INTEGER NOT NULL, bytes INTEGER NOT NULL, places TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE analysis_chunk (
    id INTEGER PRIMARY KEY, workload TEXT NOT NULL, generation INTEGER NOT NULL, part TEXT NOT NULL, number INTEGER NOT NULL,
    crc32 INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX analysis_chunk_of ON analysis_chunk (workload, generation, part, number);
CREATE VIEW analysis_state_readable AS
    SELECT workload, generation, strftime('%Y-%m-%dT%H:%M:%SZ', at_us / 1000000, 'unixepoch') AS at, bytes, places FROM analysis_state;
"""
