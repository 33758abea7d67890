"""Cases of SQL as people write it for SQLite. The tables are those of statements.py."""

# ruff: noqa: E501  a statement is one line
# flake8: noqa: E501

SQLITE = """
alter table shop_item drop column note
ALTER TABLE shop_item DROP note
Alter Table Shop_Item Drop Column Note
alter table \\
    shop_item \\
    drop column note
ALTER/**/TABLE/* the */shop_item/**/DROP/**/note
ALTER TABLE "shop_item" DROP COLUMN "note"
ALTER TABLE [shop_item] DROP `note`
ALTER TABLE main.shop_item DROP COLUMN note
SELECT 1; ALTER TABLE shop_item DROP note; SELECT 2
-- ALTER TABLE shop_item DROP COLUMN note
/* DROP TABLE shop_item; */ SELECT 1
SELECT 'ALTER TABLE shop_item DROP COLUMN note'
drop table shop_item
DROP TABLE IF EXISTS "shop_item_tags"
DROP TABLE IF EXISTS nothing_such
DROP TABLE "Order Line"
ALTER TABLE shop_item RENAME TO shop_thing
ALTER TABLE shop_item RENAME note TO remark
alter table shop_item rename column note to remark
ALTER TABLE shop_item RENAME note TO NOTE
ALTER TABLE shop_item RENAME note TO n; ALTER TABLE shop_item RENAME n TO note
ALTER TABLE "Order Line" RENAME "Unit Price" TO unit_price
ALTER TABLE "Order Line" DROP "select"
ALTER TABLE shop_item ADD more integer
alter table shop_item add column more integer null
ALTER TABLE shop_item ADD more int NOT NULL DEFAULT 0
ALTER TABLE shop_item ADD more
ALTER TABLE shop_item ADD more int CHECK (more > 0)
ALTER TABLE shop_item ADD more int DEFAULT 0 CHECK (more >= 0)
ALTER TABLE shop_item ADD more int CHECK (count > 0)
ALTER TABLE shop_item ADD more int CHECK (count > 0 OR more IS NULL)
ALTER TABLE shop_item ADD more int REFERENCES shop_group (id)
ALTER TABLE shop_item ADD more text GENERATED ALWAYS AS (upper(name)) VIRTUAL
ALTER TABLE shop_item ADD more int AS (count + 1)
ALTER TABLE shop_item ADD more int AS (rank) NOT NULL
ALTER TABLE shop_item ADD more text DEFAULT 'CHECK (count > 5)'
CREATE UNIQUE INDEX u ON shop_item (name)
create unique index if not exists u on shop_item(name, count)
CREATE \\
UNIQUE \\
INDEX u ON shop_item (name COLLATE NOCASE)
CREATE UNIQUE INDEX u ON shop_item (code)
CREATE UNIQUE INDEX u ON shop_item (code COLLATE NOCASE)
CREATE UNIQUE INDEX u ON shop_item (lower(name))
CREATE UNIQUE INDEX u ON shop_item (name) WHERE count > 1
CREATE UNIQUE INDEX u ON shop_item (code) WHERE count > 1
CREATE UNIQUE INDEX u ON shop_item (name DESC)
CREATE UNIQUE INDEX u ON shop_item (note)
CREATE UNIQUE INDEX u ON shop_item (name); DROP INDEX u
CREATE INDEX i ON shop_item (name)
CREATE INDEX "UNIQUE" ON shop_item (name)
CREATE INDEX i ON shop_item (upper(name)) WHERE count > 5
CREATE TRIGGER t BEFORE INSERT ON shop_item BEGIN SELECT 1; END
CREATE TRIGGER t BEFORE INSERT ON shop_item BEGIN SELECT RAISE(ABORT, 'no'); END
CREATE TRIGGER t AFTER INSERT ON shop_item BEGIN UPDATE shop_item SET note = 'x' WHERE id = NEW.id; END
CREATE VIEW shop_names AS SELECT name FROM shop_item
CREATE TABLE shop_more (id integer PRIMARY KEY, item integer REFERENCES shop_item (id))
CREATE TABLE shop_more AS SELECT * FROM shop_item
CREATE TEMP TABLE shop_item (id int)
CREATE TABLE new (id integer PRIMARY KEY AUTOINCREMENT, name varchar(20) NOT NULL); INSERT INTO new SELECT * FROM shop_group; DROP TABLE shop_group; ALTER TABLE new RENAME TO shop_group
CREATE TABLE new (id integer PRIMARY KEY, name varchar(20) NOT NULL CHECK (name <> '')); INSERT INTO new SELECT * FROM shop_tag; DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
CREATE TABLE new (id integer PRIMARY KEY, name integer NOT NULL); DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
CREATE TABLE new (id integer PRIMARY KEY, name text NOT NULL UNIQUE); DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
CREATE TABLE new (id integer PRIMARY KEY, name text NOT NULL) STRICT; DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
CREATE TABLE new (id integer PRIMARY KEY, name varchar NOT NULL) WITHOUT ROWID; DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
CREATE TABLE new (id bigint PRIMARY KEY, name varchar NOT NULL); DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
CREATE TABLE new (id integer PRIMARY KEY, name varchar(20) NOT NULL, CONSTRAINT "CHECK" CHECK (length(name) < 3)); DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
CREATE TABLE new (id integer PRIMARY KEY, name varchar(20) NOT NULL, more int NOT NULL); DROP TABLE shop_tag; ALTER TABLE new RENAME TO shop_tag
INSERT INTO shop_group (name) VALUES ('drop column name')
UPDATE shop_item SET note = 'DROP TABLE' WHERE note IS NULL ~
PRAGMA foreign_keys = OFF
ANALYZE
REINDEX shop_item
VACUUM &
ALTER TABLE shop_item ADD extra int => ALTER TABLE shop_item DROP extra
ALTER TABLE shop_item ADD extra int => ALTER TABLE shop_item RENAME extra TO other
ALTER TABLE shop_item ADD extra int => CREATE UNIQUE INDEX u ON shop_item (extra)
ALTER TABLE shop_item ADD extra int => CREATE UNIQUE INDEX u ON shop_item (coalesce(extra, 0))
ALTER TABLE shop_item ADD extra int => CREATE UNIQUE INDEX u ON shop_item (name) WHERE extra IS NULL
ALTER TABLE shop_item ADD extra int => CREATE UNIQUE INDEX u ON shop_item (name) WHERE extra IS NOT NULL
CREATE VIEW shop_names AS SELECT id, name FROM shop_item => DROP VIEW shop_names
CREATE INDEX i ON shop_item (name) => DROP INDEX i
CREATE TRIGGER t AFTER INSERT ON shop_item BEGIN SELECT 1; END => DROP TRIGGER t
"""
