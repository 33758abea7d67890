"""Why a few verdicts of the corpus are not what really happened, by database."""

from schema.sql_before import EACH, ENUM, FAILS, FILLS, FUNCTION, PARTS, TRIGGER, UNUSED

CODE = "the catalog does not tell what the code of a trigger or rule does: it is named"
ROWS = "which rows a release writes, the catalog does not tell: a partition that goes is named"
NOT_PROVED = "that all values pass is not proved"
KEYS = "a key above 2,147,483,647 does not fit any more; the test has no such rows"

# A migration that breaks the live release, and gets only a warning.
WARNED = {
    "sqlite": {
        "CREATE TRIGGER t BEFORE INSERT ON shop_item BEGIN SELECT RAISE(ABORT, 'no'); END": CODE,
        "CREATE TRIGGER t AFTER INSERT ON shop_item BEGIN UPDATE shop_item SET note = 'x' WHERE id = NEW.id; END": CODE,
    },
    "postgresql": {
        "CREATE RULE r AS ON INSERT TO shop_tag DO INSTEAD NOTHING": CODE,
        f"{FUNCTION} => CREATE OR REPLACE {FAILS[7:]}; {EACH}": CODE,
        f"{FUNCTION} => CREATE OR REPLACE {FAILS[7:]}; CREATE CONSTRAINT TRIGGER t AFTER DELETE ON shop_item"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()": CODE,
        f"{TRIGGER} => CREATE OR REPLACE {FAILS[7:]}": CODE,
        f"{TRIGGER} => CREATE OR REPLACE {FILLS[7:]}": CODE,
        f"{PARTS} => DROP TABLE shop_log_rest": ROWS,
        f"{PARTS} => ALTER TABLE shop_log DETACH PARTITION shop_log_rest": ROWS,
        "ALTER TABLE shop_item ALTER id SET MAXVALUE 3 RESTART WITH 1": "how long a sequence lasts depends on the rows:"
        " its change is named",
    },
}
# A migration that is an error, and that nothing shows to break the live release.
CAUTIOUS = {
    "sqlite": {
        "add key db_default": "the row 1, which the default names, is there in the test by chance",
        "alter decimal to float": "more digits than a float has would be lost; the test has no such values",
        "check of an old and a new field": NOT_PROVED,
        "check, freer": NOT_PROVED,
        "ALTER TABLE shop_item RENAME note TO NOTE": "SQLite alone takes both names for the same",
    },
    "postgresql": {
        "alter key to small": KEYS,
        "ALTER TABLE shop_item ALTER id TYPE integer": KEYS,
        "model renamed, a view in its place": "that a view takes all that a table did is not proved",
        "ALTER TABLE shop_item RENAME TO shop_thing; CREATE VIEW shop_item AS SELECT * FROM shop_thing": "that a view"
        " takes all that a table did is not proved",
        "check that all values pass": NOT_PROVED,
        "check of an old and a new field": NOT_PROVED,
        "check, freer": NOT_PROVED,
        "ALTER TABLE shop_item ADD CHECK (length(name) <= 10)": NOT_PROVED,
        f"{UNUSED} => ALTER TABLE shop_item ADD CHECK (count > extra)": NOT_PROVED,
        f"{UNUSED} => CREATE UNIQUE INDEX ON shop_item (name) WHERE extra > 5 AND count > 0": NOT_PROVED,
        "ALTER TABLE shop_item ADD more text GENERATED ALWAYS AS (upper(code)) STORED UNIQUE": "that what is computed"
        " of unique values is unique is not proved: 'a' and 'A' are not",
        "CREATE EXTENSION citext; ALTER TABLE shop_item ALTER name TYPE citext": "it finds more rows than before: the"
        " test looks only for the one that it has written",
        "ALTER TABLE shop_item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON shop_item"
        " USING (true)": "what a policy lets pass is not evaluated",
        f"{ENUM} => ALTER TYPE mood RENAME VALUE 'c' TO 'z'": "that no release writes the label is not known",
    },
}
