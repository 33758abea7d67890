"""Cases of SQL as people write it for Postgres: case, lines, optional words, quotes, schemas, comments, DO blocks, and
several statements in one string. `shop_item` has name, note (null), count, rank (null), size (with a default), code
(unique) and group_id; "Order Line" has "Unit Price" and "select"."""

# ruff: noqa: E501  a statement is one line
# flake8: noqa: E501

from django.db import models
from django.db.migrations import CreateModel, RunSQL

from schema.cases import Case
from schema.live import KEY, live
from schema.sql_before import BEFORE, MORE
from schema.sqlite_statements import SQLITE

LINE = CreateModel(
    "Line",
    [
        KEY,
        ("price", models.IntegerField(db_column="Unit Price")),
        ("chosen", models.CharField(max_length=8, null=True, db_column="select")),
        ("mood", models.CharField(max_length=5, choices=[("a", "A"), ("b", "B")])),
    ],
    options={"db_table": "Order Line"},
)
LIVE = [*live(), LINE]
ON_POSTGRES = """
alter table shop_item drop column note
ALTER TABLE shop_item DROP note
Alter Table Shop_Item Drop Column Note
alter table \\
    shop_item \\
    drop column note
ALTER TABLE shop_item DROP COLUMN IF EXISTS note
ALTER TABLE IF EXISTS shop_item DROP IF EXISTS note
ALTER TABLE ONLY shop_item DROP note CASCADE
ALTER TABLE public.shop_item DROP COLUMN note RESTRICT
ALTER TABLE "public"."shop_item" DROP COLUMN "note"
ALTER/**/TABLE/* the */shop_item/**/DROP/**/note
ALTER TABLE shop_item -- of the shop \\
    DROP note -- no longer needed
alter table shop_item add more int, drop note
ALTER TABLE shop_item DROP COLUMN IF EXISTS nothing_such
SELECT 1; ALTER TABLE shop_item DROP note; SELECT 2
;;ALTER TABLE shop_item DROP note;;
DO $$ BEGIN ALTER TABLE shop_item DROP COLUMN note; END $$
do $body$ begin execute 'alter table shop_item ' || 'drop note'; end $body$ language plpgsql
DO $$ DECLARE t text := 'note'; BEGIN EXECUTE format('ALTER TABLE %I DROP %I', 'shop_item', t); END $$
DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_tables WHERE tablename = 'nothing_such') THEN DROP TABLE shop_item; END IF; END $$
DO $$ BEGIN ALTER TABLE shop_item DROP note; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'ALTER TABLE shop_item DROP note'
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'ALTER TABLE shop_item DROP note'; SELECT f()
CREATE PROCEDURE f() LANGUAGE plpgsql AS 'BEGIN DROP TABLE shop_item CASCADE; END'; CALL f()
SELECT 1 -- ALTER TABLE shop_item DROP COLUMN note
/* DROP TABLE shop_item; */ SELECT 1
SELECT 'ALTER TABLE shop_item DROP COLUMN note'
COMMENT ON TABLE shop_item IS 'ALTER TABLE shop_item DROP COLUMN note'
COMMENT ON COLUMN shop_item.note IS 'DROP COLUMN in the next release; NOT NULL'
drop table shop_item cascade
DROP TABLE shop_item_tags, shop_item
drop table if exists "shop_item_tags"
DROP TABLE public.shop_item_tags RESTRICT
DROP TABLE IF EXISTS nothing_such
DROP TABLE "Order Line"
drop table if exists order_line
TRUNCATE shop_item CASCADE ~
alter table shop_item rename to shop_thing
ALTER TABLE shop_item RENAME note TO remark
ALTER TABLE shop_item RENAME COLUMN note TO remark
ALTER TABLE shop_item RENAME note TO n; ALTER TABLE shop_item RENAME n TO note
ALTER TABLE shop_item RENAME count TO n; ALTER TABLE shop_item RENAME rank TO count; ALTER TABLE shop_item RENAME n TO rank
ALTER TABLE shop_item RENAME CONSTRAINT shop_item_pkey TO the_key
ALTER INDEX shop_item_code_key RENAME TO the_code
ALTER TABLE shop_item RENAME TO shop_thing; CREATE VIEW shop_item AS SELECT * FROM shop_thing
ALTER TABLE shop_item RENAME TO shop_thing; CREATE TABLE shop_item (LIKE shop_thing INCLUDING ALL)
ALTER TABLE shop_group RENAME TO old; CREATE VIEW shop_group AS SELECT id, upper(name) AS name FROM old
ALTER TABLE "Order Line" RENAME "Unit Price" TO unit_price
ALTER TABLE "Order Line" DROP "select"
ALTER TABLE "Order Line" ADD "Select" int
ALTER TABLE "Order Line" ADD "Select" int NOT NULL DEFAULT 1
ALTER TABLE "Order Line" ALTER "Unit Price" TYPE smallint
CREATE SCHEMA other; ALTER TABLE shop_item SET SCHEMA other
CREATE SCHEMA other; CREATE TABLE other.shop_item (id int)
CREATE SCHEMA other; CREATE TABLE other.t (id int NOT NULL); ALTER TABLE other.t DROP id
CREATE SCHEMA archive; CREATE TABLE archive.shop_item AS SELECT * FROM shop_item; DROP TABLE archive.shop_item
ALTER TABLE shop_item ADD more integer
ALTER TABLE shop_item ADD COLUMN IF NOT EXISTS note text
ALTER TABLE shop_item ADD COLUMN more integer NULL
ALTER TABLE shop_item ADD COLUMN more integer NOT NULL
alter table shop_item add more int not null
alter table shop_item \\
add column more \\
int not \\
null
ALTER TABLE shop_item ADD more int NOT NULL DEFAULT 0
ALTER TABLE shop_item ADD more int DEFAULT 0 NOT NULL; ALTER TABLE shop_item ALTER more DROP DEFAULT
ALTER TABLE shop_item ADD more int; UPDATE shop_item SET more = 1; ALTER TABLE shop_item ALTER more SET NOT NULL
ALTER TABLE shop_item ADD more int; ALTER TABLE shop_item ADD CHECK (more IS NOT NULL)
ALTER TABLE shop_item ADD more int CHECK (more > 0)
ALTER TABLE shop_item ADD more int DEFAULT 0 CHECK (more > 0)
ALTER TABLE shop_item ADD more int UNIQUE
ALTER TABLE shop_item ADD more int UNIQUE NULLS NOT DISTINCT
ALTER TABLE shop_item ADD more uuid UNIQUE NOT NULL DEFAULT gen_random_uuid()
ALTER TABLE shop_item ADD more timestamptz UNIQUE NOT NULL DEFAULT now()
ALTER TABLE shop_item ADD more int REFERENCES shop_group
ALTER TABLE shop_item ADD more bigint NOT NULL DEFAULT 1 REFERENCES shop_group DEFERRABLE INITIALLY DEFERRED
ALTER TABLE shop_item ADD more bigserial
ALTER TABLE shop_item ADD more int GENERATED ALWAYS AS IDENTITY
ALTER TABLE shop_item ADD more int GENERATED ALWAYS AS (count + 1) STORED
ALTER TABLE shop_item ADD more int GENERATED ALWAYS AS (count / 2) STORED NOT NULL
ALTER TABLE shop_item ADD more int GENERATED ALWAYS AS (rank * 2) STORED NOT NULL
ALTER TABLE shop_item ADD more text GENERATED ALWAYS AS (upper(name)) STORED UNIQUE
ALTER TABLE shop_item ADD more text GENERATED ALWAYS AS (upper(code)) STORED UNIQUE
ALTER TABLE shop_item ADD more int GENERATED ALWAYS AS (count) STORED CHECK (more > 2)
ALTER TABLE shop_item ALTER note SET NOT NULL
alter table shop_item alter column note set not null
ALTER TABLE shop_item ALTER note SET DEFAULT '', ALTER note SET NOT NULL
ALTER TABLE shop_item ALTER count SET NOT NULL
ALTER TABLE shop_item ALTER note DROP NOT NULL
ALTER TABLE shop_item ALTER count DROP NOT NULL
ALTER TABLE shop_item ALTER size DROP DEFAULT
alter table shop_item alter column size drop default
ALTER TABLE shop_item ALTER size SET DEFAULT NULL
ALTER TABLE shop_item ALTER size SET DEFAULT 4
ALTER TABLE shop_item ALTER size SET DEFAULT 99999999999
ALTER TABLE shop_item ALTER size DROP DEFAULT, ALTER size DROP NOT NULL
ALTER TABLE shop_item ALTER size DROP DEFAULT; ALTER TABLE shop_item ALTER size SET DEFAULT 3
ALTER TABLE shop_item ALTER count SET DEFAULT 1
ALTER TABLE shop_item ALTER id DROP IDENTITY
ALTER TABLE shop_item ALTER id DROP IDENTITY IF EXISTS
ALTER TABLE shop_item ALTER id SET GENERATED ALWAYS
ALTER TABLE shop_item ALTER id RESTART WITH 1000
ALTER TABLE shop_item ALTER id SET MAXVALUE 3 RESTART WITH 1
ALTER TABLE shop_item ALTER id SET INCREMENT BY 100
ALTER TABLE shop_item ALTER id TYPE integer
ALTER TABLE shop_item ALTER id DROP IDENTITY; CREATE SEQUENCE s OWNED BY shop_item.id; ALTER TABLE shop_item ALTER id SET DEFAULT nextval('s')
ALTER SEQUENCE shop_item_id_seq RENAME TO another
ALTER SEQUENCE shop_item_id_seq CYCLE
ALTER TABLE shop_item ALTER name TYPE varchar(20)
ALTER TABLE shop_item ALTER name TYPE text
ALTER TABLE shop_item ALTER COLUMN name SET DATA TYPE varchar
ALTER TABLE shop_item ALTER name TYPE varchar(5)
alter table shop_item alter name type varchar(5) using left(name, 5)
ALTER TABLE shop_item ALTER name TYPE char(10)
ALTER TABLE shop_item ALTER name TYPE bytea USING name::bytea
ALTER TABLE shop_item ALTER name TYPE "char" USING name::"char"
ALTER TABLE shop_item ALTER name TYPE varchar(10) COLLATE "C"
ALTER TABLE shop_item ALTER note TYPE json USING note::json
ALTER TABLE shop_item ALTER count TYPE bigint
ALTER TABLE shop_item ALTER count TYPE smallint
ALTER TABLE shop_item ALTER count TYPE numeric
ALTER TABLE shop_item ALTER count TYPE numeric(20, 2)
ALTER TABLE shop_item ALTER count TYPE double precision
ALTER TABLE shop_item ALTER count TYPE text
ALTER TABLE shop_item ALTER count TYPE text USING count::text, ALTER rank TYPE bigint
ALTER TABLE shop_item ALTER count TYPE bigint, ALTER name TYPE text, ALTER note TYPE varchar(30)
CREATE DOMAIN whole AS int; ALTER TABLE shop_item ALTER count TYPE whole
CREATE DOMAIN positive AS int CHECK (VALUE > 0); ALTER TABLE shop_item ALTER count TYPE positive
CREATE DOMAIN given AS int NOT NULL; ALTER TABLE shop_item ALTER rank TYPE given
CREATE DOMAIN given AS int NOT NULL; ALTER TABLE shop_item ADD more given
CREATE DOMAIN given AS int CHECK (VALUE > 0); ALTER TABLE shop_item ADD more given
CREATE DOMAIN given AS int DEFAULT 5 NOT NULL; ALTER TABLE shop_item ADD more given
CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TABLE shop_item ALTER note TYPE mood USING note::mood
CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TABLE shop_item ADD more mood
CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TABLE shop_item ADD more mood NOT NULL DEFAULT 'a'
CREATE EXTENSION citext; ALTER TABLE shop_item ALTER name TYPE citext
CREATE EXTENSION IF NOT EXISTS hstore
CREATE UNIQUE INDEX ON shop_item (name)
create unique index the_index on shop_item using btree (name)
CREATE \\
UNIQUE \\
INDEX u ON shop_item (name, count)
CREATE UNIQUE INDEX u ON shop_item (lower(name))
CREATE UNIQUE INDEX u ON shop_item (note)
CREATE UNIQUE INDEX u ON shop_item (note) NULLS NOT DISTINCT
CREATE UNIQUE INDEX u ON shop_item (code)
CREATE UNIQUE INDEX u ON shop_item (code, name)
CREATE UNIQUE INDEX u ON shop_item (code) WHERE count > 1
CREATE UNIQUE INDEX u ON shop_item (lower(code))
CREATE UNIQUE INDEX u ON shop_item (id)
CREATE UNIQUE INDEX u ON shop_item (name) WHERE count > 1
CREATE UNIQUE INDEX u ON shop_item (name) WHERE false
CREATE UNIQUE INDEX u ON shop_item ((true))
CREATE UNIQUE INDEX u ON shop_item (name) INCLUDE (count)
CREATE UNIQUE INDEX u ON shop_item (group_id)
CREATE INDEX ON shop_item (name)
CREATE INDEX u ON shop_item ((1000 / count))
CREATE INDEX i ON shop_item USING hash (name); DROP INDEX i
ALTER TABLE shop_item ADD UNIQUE (name)
ALTER TABLE shop_item ADD CONSTRAINT u UNIQUE (name) DEFERRABLE INITIALLY DEFERRED
CREATE UNIQUE INDEX u ON shop_item (name); ALTER TABLE shop_item ADD CONSTRAINT v UNIQUE USING INDEX u
CREATE UNIQUE INDEX u ON shop_item (name); DROP INDEX u
ALTER TABLE shop_item DROP CONSTRAINT shop_item_code_key
ALTER TABLE shop_item DROP CONSTRAINT shop_item_pkey CASCADE
ALTER TABLE shop_item DROP CONSTRAINT shop_item_pkey CASCADE, ADD PRIMARY KEY (id)
ALTER TABLE shop_item DROP CONSTRAINT shop_item_pkey CASCADE, ADD PRIMARY KEY (name)
ALTER TABLE shop_item DROP CONSTRAINT shop_item_pkey CASCADE; ALTER TABLE shop_item ADD PRIMARY KEY (id, count)
ALTER TABLE shop_item ADD CHECK (count > 0)
alter table shop_item add check (count > 0) not valid
ALTER TABLE shop_item ADD CONSTRAINT c CHECK (rank IS NOT NULL) NOT VALID
ALTER TABLE shop_item ADD CHECK (true)
ALTER TABLE shop_item ADD CHECK (false)
ALTER TABLE shop_item ADD CHECK (false) NO INHERIT
ALTER TABLE shop_item ADD CHECK (length(name) <= 10)
ALTER TABLE shop_item ADD CHECK (count > 0), ADD more int
ALTER TABLE shop_item ADD CHECK (now() > '2020-01-01')
DO $$ BEGIN ALTER TABLE shop_item ADD CHECK (count > 0); END $$
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'c') THEN ALTER TABLE shop_item ADD CONSTRAINT c CHECK (count > 0); END IF; END $$
ALTER TABLE shop_item ADD CONSTRAINT c CHECK (count > 0); ALTER TABLE shop_item DROP CONSTRAINT c
ALTER TABLE shop_item ADD FOREIGN KEY (count) REFERENCES shop_group (id)
ALTER TABLE shop_item ADD FOREIGN KEY (rank) REFERENCES shop_group NOT VALID
ALTER TABLE shop_item ADD FOREIGN KEY (group_id) REFERENCES shop_group
ALTER TABLE shop_item ADD FOREIGN KEY (group_id) REFERENCES shop_group ON DELETE CASCADE
ALTER TABLE shop_group ADD parent bigint REFERENCES shop_group
CREATE EXTENSION btree_gist; ALTER TABLE shop_item ADD EXCLUDE USING gist (name WITH =)
CREATE EXTENSION btree_gist; ALTER TABLE shop_item ADD CONSTRAINT x EXCLUDE USING gist (count WITH <>) WHERE (count > 0)
CREATE EXTENSION btree_gist; ALTER TABLE shop_item ADD more int, ADD EXCLUDE (more WITH =)
ALTER TABLE shop_item ADD EXCLUDE (code WITH =)
REVOKE INSERT ON shop_item FROM CURRENT_USER
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM corpus
revoke select on shop_item from corpus
REVOKE UPDATE ON TABLE public.shop_group FROM corpus
REVOKE DELETE ON shop_item FROM PUBLIC
REVOKE ALL ON SCHEMA public FROM PUBLIC
REVOKE ALL ON SEQUENCE shop_item_id_seq FROM corpus
GRANT SELECT ON shop_item TO PUBLIC
GRANT SELECT ON shop_item TO PUBLIC; REVOKE SELECT ON shop_item FROM PUBLIC
REVOKE TRUNCATE, REFERENCES ON shop_item FROM corpus
ALTER TABLE shop_item ENABLE ROW LEVEL SECURITY
ALTER TABLE shop_item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
ALTER TABLE shop_item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON shop_item USING (true)
ALTER TABLE shop_item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON shop_item USING (count > 3)
CREATE POLICY p ON shop_item USING (false)
CREATE VIEW shop_names AS SELECT name FROM shop_item
CREATE OR REPLACE VIEW shop_names AS SELECT name FROM shop_item
CREATE MATERIALIZED VIEW shop_names AS SELECT name FROM shop_item
CREATE VIEW shop_names AS SELECT name FROM shop_item; DROP VIEW shop_names
CREATE TABLE shop_more (id serial PRIMARY KEY, item bigint REFERENCES shop_item)
CREATE TABLE shop_more AS SELECT * FROM shop_item
CREATE TABLE shop_more (LIKE shop_item INCLUDING ALL); DROP TABLE shop_more
CREATE TEMP TABLE shop_item (id int)
CREATE TEMP TABLE work AS SELECT * FROM shop_item; DROP TABLE work
CREATE TABLE child () INHERITS (shop_item)
ALTER TABLE "Order Line" SET UNLOGGED
ALTER TABLE shop_item_tags SET UNLOGGED
ALTER TABLE shop_item SET (fillfactor = 70)
ALTER TABLE shop_item ALTER name SET STORAGE EXTERNAL
ALTER TABLE shop_item ALTER name SET STATISTICS 500
ALTER TABLE shop_item CLUSTER ON shop_item_pkey
ALTER TABLE shop_item REPLICA IDENTITY FULL
CREATE STATISTICS s ON name, count FROM shop_item
ALTER TABLE shop_item ALTER COLUMN count DROP DEFAULT
ALTER TABLE shop_item ALTER note TYPE varchar(20), ALTER note SET NOT NULL
ALTER TABLE ONLY shop_item ALTER COLUMN code TYPE varchar(12)
ALTER TABLE shop_item ALTER group_id DROP NOT NULL
ALTER TABLE shop_item ADD more int[] NOT NULL DEFAULT '{}'
ALTER TABLE shop_item ADD more jsonb NOT NULL DEFAULT '{}'::jsonb
ALTER TABLE shop_item ADD more text COLLATE "C"
ALTER TABLE shop_item ADD more text NOT NULL DEFAULT NULL
ALTER TABLE shop_item ADD more tsvector GENERATED ALWAYS AS (to_tsvector('simple', name)) STORED
ALTER TABLE shop_item ADD more int GENERATED ALWAYS AS (name::int) STORED
ALTER TABLE shop_item ADD more int GENERATED ALWAYS AS (length(name)) STORED NOT NULL
CREATE INDEX ON shop_item USING gin (to_tsvector('simple', name))
CREATE INDEX ON shop_item (lower(name), (count % 10))
CREATE INDEX ON shop_item ((name::int))
CREATE INDEX ON shop_item (name) WHERE 10 / count > 1
CREATE INDEX ON shop_item (name text_pattern_ops)
CREATE INDEX ON shop_item USING brin (count)
CREATE EXTENSION pg_trgm; CREATE INDEX ON shop_item USING gin (name gin_trgm_ops)
ALTER TABLE shop_item OWNER TO CURRENT_USER
ALTER TABLE shop_item ALTER name SET COMPRESSION pglz
ALTER TABLE shop_item RENAME CONSTRAINT shop_item_code_key TO "DROP TABLE"
SELECT pg_advisory_xact_lock(1)
WITH gone AS (DELETE FROM shop_item WHERE false RETURNING 1) SELECT count(*) FROM gone
ANALYZE shop_item
LOCK TABLE shop_item IN SHARE MODE
SET LOCAL lock_timeout = '2s'; ALTER TABLE shop_item ADD more int
SET lock_timeout = '2s'; ALTER TABLE shop_item DROP note
SELECT set_config('search_path', 'public', true)
SELECT setval('shop_item_id_seq', 500)
INSERT INTO shop_group (name) VALUES ('drop column name')
UPDATE shop_item SET note = 'DROP TABLE' WHERE note IS NULL ~
DELETE FROM shop_item WHERE name = 'ALTER TABLE shop_item DROP note'
CREATE RULE r AS ON INSERT TO shop_tag DO INSTEAD NOTHING
CREATE RULE r AS ON DELETE TO shop_tag DO ALSO NOTIFY tags
CREATE INDEX CONCURRENTLY i ON shop_item (name) &
create unique index concurrently if not exists u on shop_item (name) &
CREATE UNIQUE INDEX CONCURRENTLY u ON shop_item (code, name) &
REINDEX TABLE CONCURRENTLY shop_item &
VACUUM (FULL, ANALYZE) shop_item &
CLUSTER shop_item USING shop_item_pkey
DO $$ BEGIN ALTER TABLE shop_item DROP note; COMMIT; END $$ &
"""


def statements(vendor):
    """Yield the cases of a database. ` \\` at the end of a line: the statement goes on; `&`: without a transaction;
    `~`: it is meant to change rows. Before `=>` stands what an earlier release's migration did."""
    bases = {}
    lines = {"postgresql": ON_POSTGRES + BEFORE, "sqlite": SQLITE}[vendor]
    for line in split(lines):
        before, _, sql = line.rpartition(" => ")
        base = bases.setdefault(before, [*LIVE, *MORE.get(before, ()), *([RunSQL(before)] if before else [])])
        atomic, changes_rows = not sql.endswith(" &"), sql.endswith(" ~")
        operations = [RunSQL(sql.removesuffix(" &").removesuffix(" ~"))]
        yield Case(line, base, operations, atomic, changes_rows, part="prepared" if before else "sql")


def split(lines):
    return [line.replace("\v", "\n") for line in lines.strip().replace(" \\\n", "\v").split("\n")]
